"""How sure: calibration on the target, prediction sets with a promised coverage, rows that are out of place."""
