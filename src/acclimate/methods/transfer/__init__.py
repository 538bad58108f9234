"""Moving knowledge by training on labels: source only, target only, one after the other, both."""
