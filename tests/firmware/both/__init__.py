"""Checks of the pure modules that run unchanged under CPython and MicroPython: functions `check_*`, plain asserts."""
