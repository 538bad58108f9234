"""What of a network moved while it was adapted."""
