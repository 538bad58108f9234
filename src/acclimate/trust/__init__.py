"""Trust: how sure the answers are, how fair, and what else a person must know before leaning on a model."""
