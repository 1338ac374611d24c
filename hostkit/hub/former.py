"""Probes the site had and has no more: what is retained of them goes, so that nobody takes it for theirs."""

import json

from hostkit.io.outbox import Outbox
from hostkit.model import Site

RELAYED = ("state", "info")  # what is retained of a probe on both brokers; on the site's its configuration is too
MOST = 256
_WORD = "probes"  # of the outbox: every probe the site ever had


def former_probes(outbox: Outbox, site: Site) -> tuple[str, ...]:
    """Give the names of probes that are gone from the site, and remember those it has."""
    try:
        known = [name for name in json.loads(outbox.word(_WORD) or "[]") if isinstance(name, str)]
    except (ValueError, TypeError):
        known = []
    names = [probe.id for probe in site.probes]
    outbox.set_word(_WORD, json.dumps(list(dict.fromkeys([*names, *known]))[: MOST + len(names)]))
    return tuple(name for name in known if name not in names)[:MOST]
