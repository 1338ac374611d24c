"""Composition roots of the hub: what joins files and radios to the pipeline."""
