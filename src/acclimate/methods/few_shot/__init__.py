"""Few-shot classifiers on features of a frozen backbone."""
