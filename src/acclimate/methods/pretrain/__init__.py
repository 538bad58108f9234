"""Pretraining without labels: what an encoder can learn from unlabelled rows of source and target."""
