"""What the probe's package finds on a board, for a port that has no files, sockets or chip."""

freeze("fakes", ("bare.py", "parts.py", "wired.py"))  # noqa: F821
