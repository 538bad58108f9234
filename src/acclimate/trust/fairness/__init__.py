"""Groups of people: how differently a model treats them, whether adaptation widened it, and what narrows it."""
