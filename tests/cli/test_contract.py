"""`footfall contract` prints every part of the contract, checks messages and tells what a change breaks."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hostkit import contract as published
from hostkit.cli.main import cli
from hostkit.errors import ExitCode, InputError, UsageError


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


HUB = "footfall/v1/acme/shop-12/hub"


def run(*arguments: str, given: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["contract", *arguments], input=given)
    return result.exit_code, result.stdout, result.stderr


def test_lines_of_a_subscriber_are_checked_one_by_one() -> None:
    visits = json.dumps(published.schema("visits")["examples"][0])
    lines = [
        f"{HUB}/visits {visits}",
        f"{HUB}/state online",
        f"{HUB}/state {b'offline'.hex()}",
        f"{HUB}/state \x1b[31m",
        f"{HUB}/live {visits}",
        f"{HUB}/obs 00ff",
        "somewhere/else {}",
        "",
    ]
    code, out, err = run("validate", "-", given="\n".join(lines))
    assert (code, out) == (ExitCode.PEER, "7 messages, 4 refused\n")
    told = err.splitlines()
    assert [line.split(":")[1] for line in told] == [" line 4", " line 5", " line 6", " line 7"]
    assert all(line.isprintable() for line in told)
    code, out, _ = run("validate", "-", "--json", given="\n".join(lines))
    assert code == ExitCode.PEER
    assert [fault["line"] for fault in json.loads(out)["faults"]] == [4, 5, 6, 7]


def test_one_payload_is_checked_against_its_topic(tmp_path: Path) -> None:
    file = tmp_path / "visits.json"
    file.write_text(json.dumps(published.schema("visits")["examples"][0]))
    assert run("validate", str(file), "--topic", f"{HUB}/visits") == (ExitCode.OK, "1 messages, 0 refused\n", "")
    code, _, err = run("validate", str(file), "--topic", f"{HUB}/event")
    assert code == ExitCode.PEER
    assert f"{HUB}/event" in err


@pytest.mark.skipif(sys.platform != "linux", reason="reads a file that refuses, in /proc")
def test_a_disk_that_refuses_is_told() -> None:
    for options in ((), ("--topic", f"{HUB}/visits")):
        with pytest.raises(InputError, match=r"^/proc/self/mem: cannot be read \(Input/output error\)"):
            CliRunner().invoke(cli, ["contract", "validate", "/proc/self/mem", *options], catch_exceptions=False)


def test_nothing_to_check_is_nothing_refused() -> None:
    assert run("validate", "-", given="") == (ExitCode.OK, "0 messages, 0 refused\n", "")


def test_a_change_that_breaks_clients_ends_with_its_code(tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text(published.text("asyncapi"))
    assert run("diff", str(old)) == (ExitCode.OK, "0 changes, 0 break clients\n", "")
    document = json.loads(published.text("asyncapi"))
    document["channels"]["gone"] = document["channels"].pop("event")
    old.write_text(json.dumps(document))
    code, out, _ = run("diff", str(old))
    assert code == ExitCode.PEER
    assert out.splitlines() == [
        "BREAKS  gone: the stream is gone",
        "fits    event: new stream",
        "2 changes, 1 break clients",
    ]
    assert [change["breaks"] for change in json.loads(run("diff", str(old), "--json")[1])] == [True, False]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"channels": 1}', "[" * 100_000])
def test_what_is_no_document_is_one_line(tmp_path: Path, text: str) -> None:
    old = tmp_path / "old.yaml"
    old.write_text(text)
    with pytest.raises(InputError, match=r"is no AsyncAPI document of ours; give what"):
        CliRunner().invoke(cli, ["contract", "diff", str(old)], catch_exceptions=False)
