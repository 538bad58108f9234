"""Tasks: head, loss, answers and metrics; one file each."""
