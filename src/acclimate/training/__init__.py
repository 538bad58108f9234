"""The loop, its settings, devices, checkpoints and what is tuned."""
