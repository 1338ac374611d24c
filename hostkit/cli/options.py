"""Options that commands of several families share."""

from pathlib import Path

import click

site_option = click.option(
    "--site",
    "site_path",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="site.toml of the place.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
