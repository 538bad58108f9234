"""Robots: models of how a body moves, adapted to a new body from seconds of data, and a planner that uses them."""
