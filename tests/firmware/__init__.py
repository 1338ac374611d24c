"""The firmware's Python on a real MicroPython, and its pure modules under CPython."""
