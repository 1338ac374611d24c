"""The firmware's package on the path, and what CPython lacks for its pure modules."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "shims"), str(HERE.parents[1] / "firmware")]
