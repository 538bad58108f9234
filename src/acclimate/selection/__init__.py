"""Scores, intervals and the decision: how good is an arm, and which one is used."""
