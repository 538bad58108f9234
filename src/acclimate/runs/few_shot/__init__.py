"""A few-shot classifier: chosen on held-out support rows, calibrated, able to refuse; on disk and on rows."""
