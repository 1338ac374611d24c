"""`footfall hub notice`: what visitors are told. No logic."""

from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import site_option
from hostkit.config import load_site
from hostkit.hub.notice import LANGUAGES
from hostkit.hub.notice import notice as notice_of


@click.command()
@site_option
@click.option("--language", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Of the text.")
def notice(*, site_path: Path, language: str) -> None:
    """Print the notice to visitors that fits the configuration: for the door, and for your lawyer to read first.

    \b
    Example:
      footfall hub notice --site site.toml --language zh
    """
    text.emit(notice_of(load_site(site_path), language))
