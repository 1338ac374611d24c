"""What only baselines need and an installation may lack: the extra `footfall[evaluate]`."""

import importlib
from types import ModuleType

from hostkit.errors import InputError


def imported(name: str) -> ModuleType:
    """Import a module of the extra. InputError where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        what = f"{name.partition('.')[0]} is not installed"
        raise InputError(what, where="baselines", next_step="pip install 'footfall[evaluate]'") from error
