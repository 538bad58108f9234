"""Methods that change the model for one row while it is answered."""
