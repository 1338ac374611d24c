"""Finds out which of the labelled inputs a path is. Refuses one whose senders nobody named."""

from pathlib import Path

from hostkit.errors import InputError, UsageError
from hostkit.evaluate.labelled import Labelled, Progress, is_capture, read_folder, read_labelled
from hostkit.evaluate.table import read_sightings


def read_input(path: Path, labels: Path | None, on_progress: Progress) -> Labelled:
    """Read a folder of devices, one capture with its table of labels, or a table of sightings with labels.

    UsageError for labels of what has its own; InputError for what is none of the three.
    """
    if path.is_dir():
        _refuse(labels, "a folder's devices are its sub-folders and captures")
        return read_folder(path, on_progress)
    if is_capture(path):
        if labels is None:
            raise InputError(
                "which device sent which frame is not known",
                where=str(path),
                next_step="add --labels L.csv, or give a folder with a sub-folder for each device",
            )
        return read_labelled(path, labels)
    _refuse(labels, "a table of sightings has its own labels")
    return read_sightings(path)


def _refuse(labels: Path | None, why: str) -> None:
    if labels is not None:
        raise UsageError(why, where="--labels", next_step="leave it out, or name one capture")
