"""A run on disk: recipe, arms, metrics, model and result."""
