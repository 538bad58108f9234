"""Networks that turn raw inputs into named features: one file per kind, and the feature cache."""
