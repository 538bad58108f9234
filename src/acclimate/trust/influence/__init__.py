"""Which training rows helped or hurt on the target, and whether removing them shows it."""
