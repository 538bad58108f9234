"""Runs of meta-training: what is planned, trained, kept on disk and evaluated."""
