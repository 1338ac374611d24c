"""Each file speaks to one outside thing; they do not know each other."""
