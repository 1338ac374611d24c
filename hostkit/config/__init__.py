"""site.toml, the only truth about a place, to `model.Site` and back. Refuses unknown keys and contradictions.

Every key is described in hostkit/contract/site-toml.md.
"""

import tomllib
from pathlib import Path

from hostkit.config.check import contradictions
from hostkit.config.dump import dump_site
from hostkit.config.reader import Problem, read_site
from hostkit.errors import ConfigError
from hostkit.model import Site

__all__ = ["dump_site", "load_site", "parse_site"]

MAX_BYTES = 1_000_000  # a mall of a thousand zones is a tenth of it


def load_site(path: Path) -> Site:
    """Read and check a site.toml; raises ConfigError with one line `file: key.path: what; next step`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot read: {error.strerror}", where=str(path), next_step="give the path of a site.toml you may read"
        ) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"is over {MAX_BYTES} bytes", where=str(path), next_step="give a site.toml")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"is not UTF-8 (byte {error.start})", where=str(path), next_step="save it as UTF-8 text"
        ) from error
    return parse_site(text, str(path))


def parse_site(text: str, where: str) -> Site:
    """Turn the text of a site.toml into a checked Site; `where` names it in the ConfigError."""
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigError(f"not TOML: {what}", where=where, next_step="correct that line") from error
    site, problems = read_site(tree)
    if site is not None and not problems:
        problems = list(contradictions(site))
    if site is None or problems:
        raise _refusal(problems, where)
    return site


def _refusal(problems: list[Problem], where: str) -> ConfigError:
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ConfigError(first.what, where=f"{where}: {first.path}", next_step=first.fix + more)
