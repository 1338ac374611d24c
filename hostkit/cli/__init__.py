"""The footfall command: options in, a composition root called, text out. No logic."""
