"""Methods that bring the features of several sites to one scale."""
