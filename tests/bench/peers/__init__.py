"""Peers: each script runs one of them on a given input, in whatever environment it needs, and reports CPU time."""
