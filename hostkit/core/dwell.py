"""How long people stay, from times that are only known between two hearings. No positions, no clock."""

from hostkit.core._dwell import MAX_DEVICES, SEGMENT_BYTES, STAY, UNKNOWN_US, Segmenter

__all__ = ["MAX_DEVICES", "SEGMENT_BYTES", "STAY", "UNKNOWN_US", "Segmenter"]
