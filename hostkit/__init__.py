"""Footfall's host side: hub, collector, simulator and command line. Importing it does nothing else."""

__version__ = "0.1.0"
