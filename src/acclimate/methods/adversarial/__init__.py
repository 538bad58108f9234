"""Adversarial alignment: features that a domain classifier cannot tell apart."""
