"""The reset of a chip whose program is a process: it ends with the exit code that says so."""

import sys


def reset():
    sys.exit(3)
