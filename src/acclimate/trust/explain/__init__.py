"""Why a model answers as it does: scores of the parts of a row, and whether they can be believed."""
