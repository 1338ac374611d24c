"""`footfall contract show` prints every part of the contract."""

import json

import pytest
from click.testing import CliRunner

from hostkit import contract as published
from hostkit.cli.main import cli
from hostkit.errors import UsageError


def show(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["contract", "show", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_without_a_name_it_lists_every_topic_and_every_name() -> None:
    text = show()
    for stream in published.topics():
        assert f"\n{stream} " in text
    for name in ("kpi-dictionary", *published.TEXTS, *published.schema_names()):
        assert f" {name}" in text
    assert [row["stream"] for row in json.loads(show("--json"))] == list(published.topics())


@pytest.mark.parametrize("name", published.schema_names())
def test_a_schema_is_printed_as_it_is(name: str) -> None:
    assert json.loads(show(name)) == json.loads(show(name, "--json")) == published.schema(name)


@pytest.mark.parametrize("name", published.TEXTS)
def test_a_text_is_printed_as_it_is(name: str) -> None:
    assert show(name) == published.text(name) + "\n"
    assert json.loads(show(name, "--json")) == published.text(name)


def test_the_dictionary_is_printed_for_people_and_for_programs() -> None:
    text = show("kpi-dictionary")
    rows = json.loads(show("kpi-dictionary", "--json"))
    assert [row["id"] for row in rows] == list(published.kpi_dictionary())
    for row in rows:
        assert f"{row['id']} v{row['version']}: {row['name_en']} ({row['name_zh']})" in text
        assert f"  = {row['formula']}\n" in text
        assert row["null_rule"] in text


def test_an_unknown_name_is_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        CliRunner().invoke(cli, ["contract", "show", "visit"], catch_exceptions=False)
    assert str(caught.value).startswith(
        "contract show: 'visit' is not part of the contract; use kpi-dictionary, wire, "
    )
