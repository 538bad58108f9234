"""Differential privacy of the rows that a model learns from, and what an attacker could still tell."""
