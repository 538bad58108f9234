"""Meta-learning: a model that learns to learn over many small tasks."""
