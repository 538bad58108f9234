"""The report of a run: what is kept for it, the page that a person reads, and the model card."""
