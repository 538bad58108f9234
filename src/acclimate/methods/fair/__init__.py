"""Against unfairness: methods that use the groups of people in the source (`Domain.sensitive`)."""
