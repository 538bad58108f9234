"""Methods that change how source inputs look."""
