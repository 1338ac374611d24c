"""What a technician does: surveys, fits held against what they did not see, reports; applied as hub calibrations."""
