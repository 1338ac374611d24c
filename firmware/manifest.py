"""Frozen into the image: code runs from flash and takes no RAM. See README.md."""

package("sensor", opt=3)  # noqa: F821
module("main.py", opt=3)  # noqa: F821
