"""Change one table of a site.toml and leave the rest as it was written: comments, order, what people put there."""

import json
import re
from collections.abc import Mapping

from hostkit.config import parse_site
from hostkit.model import Site

_HEADER = re.compile(r"^\s*\[")


def with_table(text: str, table: str, values: Mapping[str, float | int], where: str) -> tuple[str, Site]:
    """Give the text with `values` set in `[table]`, and the site it now is; the table is added if it is missing.

    Raises ConfigError, naming `where`, if the result would be no site: then the file has to be edited by hand.
    """
    lines = text.splitlines()
    header = re.compile(rf"^\s*\[\s*{re.escape(table)}\s*\]\s*(#.*)?$")
    start = next((i for i, line in enumerate(lines) if header.match(line)), None)
    if start is None:
        lines += ["", f"[{table}]"]
        start = len(lines) - 1
    end = next((i for i in range(start + 1, len(lines)) if _HEADER.match(lines[i])), len(lines))
    for key, value in values.items():
        at = next((i for i in range(start + 1, end) if re.match(rf"\s*{re.escape(key)}\s*=", lines[i])), None)
        if at is None:
            lines.insert(start + 1, f"{key} = {json.dumps(value)}")
            end += 1
        else:
            comment = re.search(r"\s*#.*$", lines[at])
            lines[at] = f"{key} = {json.dumps(value)}{comment[0] if comment else ''}"
    changed = "\n".join(lines) + "\n"
    return changed, parse_site(changed, where)
