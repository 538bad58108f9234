"""Domains: reading, ids, splits, leaks, streams and samples. Import the module you need."""
