"""Accuracy and speed, measured; each module writes one JSON file in results/, from which the docs are built."""
