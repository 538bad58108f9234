"""Which source rows of a run helped or hurt on the target, and what removing them does."""
