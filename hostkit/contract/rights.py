"""Who may give which command: the one table, for the broker's list of rights and for the hub's own check."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import get_args

import msgspec

from hostkit.contract.commands import (
    Asked,
    Beacon,
    Command,
    Identify,
    Measure,
    ReadLog,
    Recompute,
    Replay,
    Restart,
    Rollout,
    SetHop,
    SetProbe,
    SetThresholds,
    SetZones,
    Update,
)


class Caller(StrEnum):
    """What a command's sender is; the words are those of identities' roles."""

    COLLECTOR = "collector"
    OPERATOR = "operator"  # a person or program of the shop


# What touches people's privacy, the keys or what was counted at the door is for the shop alone to say.
_FROM_AFAR = (
    Replay, Recompute, SetThresholds, SetZones, SetHop, SetProbe, Restart, Identify, ReadLog, Measure, Beacon, Update,
    Rollout,
)  # fmt: skip
RIGHTS: Mapping[Caller, frozenset[type]] = MappingProxyType(
    {Caller.COLLECTOR: frozenset(_FROM_AFAR), Caller.OPERATOR: frozenset(get_args(Asked))}
)


def may(caller: Caller, command: Command) -> bool:
    """Tell whether a caller may give this command. A probe's settings name its hub: they are the shop's to change."""
    settings = isinstance(command, SetProbe) and isinstance(command.probe, str)
    return type(command) in RIGHTS[caller] and not (settings and caller is not Caller.OPERATOR)


def verb_of(command: Command | type) -> str:
    """Give the verb of a command or of its type, as in `cmd/<verb>`."""
    config = msgspec.inspect.type_info(command if isinstance(command, type) else type(command))
    assert isinstance(config, msgspec.inspect.StructType)
    return str(config.tag)


def verbs_of(caller: Caller) -> tuple[str, ...]:
    """Give the verbs a caller may use, sorted."""
    return tuple(sorted(map(verb_of, RIGHTS[caller])))
