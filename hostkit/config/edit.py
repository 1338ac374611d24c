"""Change what a site.toml says and leave the rest as it was written: comments, order, what people put there."""

import tomllib
from collections.abc import Callable, MutableMapping
from typing import TypeAlias

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Item, Table

from hostkit.config import parse_site
from hostkit.config.dump import dump_site
from hostkit.errors import ConfigError
from hostkit.model import Site

Tree: TypeAlias = dict[str, object]  # a site.toml as tomllib gives it


def tree_of(site: Site) -> Tree:
    """Give every key of a site, defaults too, as a site.toml would say it."""
    return tomllib.loads(dump_site(site))


def changed(site: Site, change: Callable[[Tree], None], where: str) -> Site:
    """Give the site after `change` of its tree; ConfigError, naming `where` and the key, if that is none."""
    tree = tree_of(site)
    change(tree)
    return parse_site(tomlkit.dumps(tree), where)


def with_site(text: str, wanted: Site, where: str) -> str:
    """Give `text` with as few changes as make it mean `wanted`; raises ConfigError if `text` is no site.toml.

    Where its shape allows no such change (dotted keys, tables in lines of their own), all is written anew.
    """
    before = tree_of(parse_site(text, where))
    try:
        document = tomlkit.parse(text)
        _merge(document, before, tree_of(wanted))
        merged = tomlkit.dumps(document)
        if parse_site(merged, where) == wanted:
            return merged
    except (TOMLKitError, ConfigError, TypeError, ValueError, AttributeError):
        pass
    return dump_site(wanted)


def _merge(into: MutableMapping[str, object], before: Tree, wanted: Tree) -> None:
    """Change the keys of a table that differ; `before` is what it means now, defaults included."""
    for key in [key for key in before if key not in wanted]:
        into.pop(key, None)
    for key, value in wanted.items():
        old = before.get(key)
        if old == value:
            continue
        there = into.get(key)
        if isinstance(value, dict):
            if not isinstance(there, MutableMapping):
                there = into[key] = tomlkit.table()
                there = into[key]
            assert isinstance(there, MutableMapping)
            _merge(there, old if isinstance(old, dict) else {}, value)
        elif isinstance(there, AoT) and isinstance(old, list) and isinstance(value, list):
            _merge_list(there, old, value)
        else:
            into[key] = _item(value)


def _merge_list(there: AoT, before: list[Tree], wanted: list[Tree]) -> None:
    """Change tables that have ids: those kept stay where they are, new ones come last."""
    ids = [entry["id"] for entry in wanted]
    for index in reversed(range(len(before))):
        if before[index]["id"] not in ids:
            del there[index]
    kept = [entry for entry in before if entry["id"] in ids]
    for index, entry in enumerate(kept):
        table = there[index]
        assert isinstance(table, Table)
        _merge(table, entry, wanted[ids.index(entry["id"])])
    known = {entry["id"] for entry in kept}
    for entry in wanted:
        if entry["id"] not in known:
            table = tomlkit.table()
            table.update(entry)
            there.append(table)


def _item(value: object) -> Item | object:
    """Write lists of tables as tables of their own, but walls in one line each."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "id" in value[0]:
        tables = tomlkit.aot()
        for entry in value:
            table = tomlkit.table()
            table.update(entry)
            tables.append(table)
        return tables
    return tomlkit.item(value)
