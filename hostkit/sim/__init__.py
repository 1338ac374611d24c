"""A shop full of phones with known truth."""
