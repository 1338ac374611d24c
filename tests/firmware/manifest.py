"""What tests freeze into MicroPython: asyncio as ports have it, the probe's package as its image has it."""

include("$(MPY_DIR)/extmod/asyncio")  # noqa: F821
include("../../firmware/manifest.py")  # noqa: F821
