"""A release that does not know classes of its source, and what of them is left in it all the same."""
