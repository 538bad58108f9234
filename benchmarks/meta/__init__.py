"""Meta-learning, measured; each module writes one JSON file in results/."""
