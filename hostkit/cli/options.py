"""Options that commands of several families share."""

from pathlib import Path

import click

from hostkit.errors import UsageError

site_option = click.option(
    "--site",
    "site_path",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="site.toml of the place.",
)
file_argument = click.argument(
    "file", type=click.Path(path_type=Path, readable=False), required=False, metavar="[FILE]"
)
named_option = click.option(
    "--site",
    "named",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="The same as [FILE].  [default: site.toml]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def one_site(file: Path | None, named: Path | None) -> Path:
    """Give the site file that FILE or --site names; site.toml where none does. UsageError for both."""
    if file is not None and named is not None:
        raise UsageError("are the same thing", where="FILE and --site", next_step="give one of them")
    return file or named or Path("site.toml")
