"""The notice to visitors says what the configuration and the code do, in both languages."""

from dataclasses import replace

import pytest

from hostkit.config import dump_site
from hostkit.core.retention import DAYS_KEPT_S, HOURS_KEPT_S, VISITS_KEPT_S
from hostkit.hub.notice import LANGUAGES, notice
from hostkit.model import Privacy, PrivacyMode
from tests.cli.command import footfall
from tests.hub.service import SETTINGS

SITE = replace(SETTINGS.site, privacy=Privacy(time_grain_s=600, k=7, rotation_hour=3))


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_names_what_is_configured_and_how_long_things_are_kept(language: str) -> None:
    text = notice(SITE, language)
    assert (VISITS_KEPT_S, HOURS_KEPT_S, DAYS_KEPT_S) == (30 * 86_400, 25 * 31 * 86_400, 3653 * 86_400)
    for fact in ("03:00", f" {len(SITE.probes)} ", " 7 ", " 10 ", " 30 ", " 25 "):
        assert fact in text
    assert "{" not in text
    for changed in (Privacy(time_grain_s=300), Privacy(k=9), Privacy(rotation_hour=5)):
        assert notice(replace(SITE, privacy=changed), language) != text


MODES = (PrivacyMode.ANONYMOUS_5MIN, PrivacyMode.PSEUDONYM_24H)  # site.toml takes no other yet


@pytest.mark.parametrize("language", LANGUAGES)
def test_where_no_visit_leaves_it_promises_that_and_nothing_of_visits(language: str) -> None:
    texts = {mode: notice(replace(SITE, privacy=Privacy(mode=mode)), language) for mode in MODES}
    assert len(set(texts.values())) == 2
    assert " 30 " not in texts[PrivacyMode.ANONYMOUS_5MIN]


def test_the_command_prints_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    site = tmp_path / "site.toml"
    site.write_text(dump_site(SITE), encoding="utf-8")
    done = footfall("hub", "notice", "--site", site, "--language", "zh", PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stdout) == (0, notice(SITE, "zh"))
