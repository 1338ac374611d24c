"""Who may command a hub, once and in time: every refusal has a reason, is counted, and nothing is done twice."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.contract import schema
from hostkit.contract.codec import CMD, compose, encode
from hostkit.contract.commands import Asked, Flush, Replay, Response, RotateKey, SetProbe, SetZones, Status
from hostkit.contract.rights import RIGHTS, Caller, verb_of
from hostkit.contract.topics import Address, parse_topic
from hostkit.errors import StorageError, UsageError
from hostkit.hub.commands import BURST, LONGEST_S, MAX_ANSWERS, MAX_COMMAND_BYTES, MAX_IDS, SKEW_S, Desk, Refused, Waits
from hostkit.io.mqtt import Arrived
from hostkit.io.outbox import Outbox
from hostkit.model import Probe, Provenance, Zone

NOW_S = 1_773_486_300.0
ROLES = {"collector": Caller.COLLECTOR, "operator": Caller.OPERATOR}


class Desked:
    """A desk over an outbox on disk; `did` is what it had done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.did: list[Asked] = []
        self.now_s, self.wall_s = 1000.0, NOW_S
        self.open()

    def open(self) -> None:
        self.outbox = Outbox(self.path)
        self.desk = Desk(self.outbox, lambda _, node: ROLES.get(node), self.do)

    def kill(self) -> None:
        self.outbox.commit()
        self.outbox.close()
        self.open()

    def do(self, command: Asked) -> Response | Waits:
        if isinstance(command, RotateKey):
            return Waits("p")
        if isinstance(command, Replay) and command.from_s > command.to_s:
            raise UsageError("from is after to", where="replay", next_step="swap them")
        self.did.append(command)
        return Response(id=command.id, replayed=len(self.did))

    def take(self, payload: bytes, verb: str = "replay", *, duplicate: bool = False, retained: bool = False) -> None:
        topic = f"footfall/v1/t/s/hub/cmd/{verb}"
        message = Arrived(
            link="site broker", topic=topic, payload=payload, qos=1, retained=retained, duplicate=duplicate, mid=1,
            connection=1,
        )  # fmt: skip
        self.desk.take(message, parse_topic(topic), self.wall_s, self.now_s)

    def said(self) -> list[tuple[str, Status, str]]:
        answers, self.desk.answers = self.desk.answers, []
        return [(one.id, one.outcome, one.error.what if one.error else "") for _, one in answers]


@pytest.fixture
def desk(tmp_path: Path) -> Desked:
    return Desked(tmp_path / "hub.db")


def replay(id_: str = "r1", *, in_s: float = 60, from_s: int = 0) -> Replay:
    return Replay(id=id_, expires=int(NOW_S + in_s), from_s=from_s, to_s=1)


def packed(command: Asked, node: str = "operator") -> bytes:
    message = compose(
        CMD,
        command,
        publisher=Address(tenant="t", site="s", node=node),
        at=datetime.fromtimestamp(NOW_S, UTC),
        boot="b",
        seq=1,
        provenance=Provenance.LIVE,
    )
    return re.sub(rb',"crc32":"[0-9a-f]{8}"', b"", encode(CMD, message))  # so that tests may change it


def test_a_command_is_accepted_and_done(desk: Desked) -> None:
    desk.take(packed(replay()))
    assert desk.said() == [("r1", Status.ACCEPTED, ""), ("r1", Status.DONE, "")]
    assert desk.desk.done == len(desk.did) == 1
    assert not any(desk.desk.refused.values())


def test_what_cannot_be_done_is_refused_with_where_and_why(desk: Desked) -> None:
    desk.take(packed(replay(from_s=9)))
    assert desk.said() == [("r1", Status.ACCEPTED, ""), ("r1", Status.REFUSED, "replay: from is after to")]
    assert desk.desk.refused[Refused.UNABLE] == 1


def test_a_file_that_cannot_be_written_is_refused_and_an_outbox_ends_the_hub(desk: Desked) -> None:
    def failing(where: str) -> None:
        def do(command: Asked) -> Response:
            raise StorageError("cannot be written", where=where, next_step="free some space")

        desk.desk = Desk(desk.outbox, lambda _, node: ROLES.get(node), do)

    failing("site.toml")
    desk.take(packed(replay()))
    assert desk.said()[1][1:] == (Status.REFUSED, "site.toml: cannot be written")
    failing(desk.outbox.where)
    with pytest.raises(StorageError):
        desk.take(packed(replay("r2")))


@pytest.mark.parametrize("caller", Caller)
def test_everybody_may_what_the_table_says_and_nothing_else(desk: Desked, caller: Caller) -> None:
    for number, example in enumerate(schema("cmd")["examples"]):  # type: ignore[arg-type, var-annotated]
        data = {**example["data"], "id": f"x{number}"} | (
            {"expires": int(NOW_S)} if "expires" in example["data"] else {}
        )
        verb = data["verb"]
        desk.now_s += 10
        desk.take(json.dumps({**example, "source": f"/t/s/{caller}", "data": data}).encode(), verb)
        allowed = verb in {verb_of(one) for one in RIGHTS[caller]}
        allowed &= "settings" not in data or caller is Caller.OPERATOR
        assert (desk.said()[0][1] is Status.ACCEPTED) == allowed, verb
    assert desk.desk.refused[Refused.RIGHT] == (3 if caller is Caller.OPERATOR else 11)
    assert "key" not in {verb_of(one) for one in RIGHTS[caller]}


REFUSED = [
    (
        "no text in a key nobody knows",
        Refused.MALFORMED,
        lambda: packed(SetProbe(id="r1", expires=int(NOW_S), probe=Probe(id="a"))).replace(
            b'"id":"a"', b'"id":"a","x":"\x80"'
        ),
        "utf-8",
    ),
    ("a stranger", Refused.RIGHT, lambda: packed(replay(), "probe-1"), "its sender has no such right"),
    (
        "on another topic",
        Refused.MALFORMED,
        lambda: packed(Flush(id="r1", expires=int(NOW_S))),
        "is flush on the topic",
    ),
    ("late", Refused.EXPIRED, lambda: packed(replay(in_s=-SKEW_S - 5)), "expired 65 s ago by the hub's clock"),
    ("ahead", Refused.AHEAD, lambda: packed(replay(in_s=LONGEST_S + SKEW_S + 5)), "expires in 3665 s, at most 3600"),
    (
        "damaged",
        Refused.MALFORMED,
        lambda: packed(replay())[:-1] + b',"crc32":"00000000"}',
        "its CRC-32 does not match",
    ),
    ("broken", Refused.MALFORMED, lambda: packed(replay()).replace(b'"to":1', b'"to":"x"'), "data.to: Expected `int`"),
    ("unknown key", Refused.MALFORMED, lambda: packed(replay()).replace(b'"to":1', b'"to":1,"zz":2'), "field `zz`"),
    ("unknown verb", Refused.MALFORMED, lambda: packed(replay()).replace(b'"replay"', b'"reploy"'), "Invalid value"),
    ("newer", Refused.MALFORMED, lambda: packed(replay()).replace(b"l.v1.c", b"l.v2.c"), "type: Expected"),
    ("no expiry", Refused.MALFORMED, lambda: packed(replay()).replace(b'"expires"', b'"expiry"'), "field `expiry`"),
    ("too large", Refused.MALFORMED, lambda: packed(replay()) + b" " * MAX_COMMAND_BYTES, "bytes, at most 262144"),
]


@pytest.mark.parametrize(("why", "payload", "what"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_it_is_refused_with_a_reason(desk: Desked, why: Refused, payload, what: str) -> None:  # type: ignore[no-untyped-def]
    desk.take(payload())
    ((id_, status, said),) = desk.said()
    assert (id_, status) == ("r1", Status.REFUSED)
    assert what in said
    assert desk.desk.refused[why] == 1
    assert not desk.did


def test_an_unknown_key_inside_a_zone_or_a_probe_is_named(desk: Desked) -> None:
    zone = Zone(id="till", floor="g", polygon_m=((0.0, 0.0), (5.0, 0.0), (5.0, 4.0)))
    payload = packed(SetZones(id="z", expires=int(NOW_S), zones=(zone, zone)))
    at = payload.rindex(b'"kind"')
    desk.take(payload[:at] + b'"colour":1,' + payload[at:], "zones")
    payload = packed(SetProbe(id="p", expires=int(NOW_S), probe=Probe(id="a")))
    desk.take(payload.replace(b'"dwell_ms"', b'"dwel_ms"'), "set-config")
    what = ["zones[1].colour: unknown key", "probe.dwel_ms: unknown key"]
    assert [(status, said) for _, status, said in desk.said()] == [(Status.REFUSED, one) for one in what]
    desk.take(packed(SetZones(id="z", expires=int(NOW_S), zones=(zone,))), "zones")
    assert len(desk.did) == 1


@pytest.mark.parametrize("in_s", [-SKEW_S + 1, LONGEST_S + SKEW_S - 1])
def test_a_clock_may_be_wrong_by_a_minute(desk: Desked, in_s: float) -> None:
    desk.take(packed(replay(in_s=in_s)))
    assert len(desk.did) == 1


def test_a_retained_command_is_refused(desk: Desked) -> None:
    desk.take(packed(replay()), retained=True)
    assert desk.said()[0][1:] == (Status.REFUSED, "a command must not be retained")
    assert not desk.did


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"[" * 5000, b"{}", b'{"data":{"id":"UP"},"source":"/t/s/o"}'])
def test_what_has_no_id_is_counted(desk: Desked, payload: bytes) -> None:
    desk.take(payload)
    assert desk.said() == []
    assert desk.desk.refused[Refused.MALFORMED] == desk.desk.refused[Refused.UNANSWERED] == 1


def test_a_replayed_command_is_refused_and_a_kill_forgets_nothing(desk: Desked) -> None:
    desk.take(packed(replay()))
    desk.take(packed(replay(), "collector"))
    assert desk.said()[2:] == [("r1", Status.REFUSED, "this id came before; it was done")]
    desk.kill()
    desk.take(packed(replay()))
    assert desk.said() == [("r1", Status.REFUSED, "this id came before; it was done")]
    assert len(desk.did) == 1
    assert desk.desk.refused[Refused.REPLAYED] == 1


def test_what_the_broker_brings_again_after_a_kill_is_answered_again_and_not_done_again(desk: Desked) -> None:
    desk.take(packed(replay()))
    desk.kill()
    desk.take(packed(replay()), duplicate=True)
    assert desk.said() == [("r1", Status.DONE, "")]
    assert len(desk.did) == 1


def test_ids_are_bounded_and_a_clock_that_goes_back_revives_none(desk: Desked) -> None:
    for number in range(MAX_IDS // 2 + 2):
        desk.now_s += 1
        desk.wall_s += 1
        expires = int(desk.wall_s) - SKEW_S
        desk.take(packed(Replay(id=f"n{number}", expires=expires, from_s=0, to_s=1)))
    assert len(desk.did) == MAX_IDS // 2 + 2
    kept = msgspec.json.decode(desk.outbox.word("commands") or "")
    assert len(kept["ids"]) < 10
    desk.said()
    desk.wall_s = NOW_S
    desk.take(packed(Replay(id="n3", expires=int(NOW_S) + 3 - SKEW_S, from_s=0, to_s=1)))
    assert desk.said() == [("n3", Status.REFUSED, "this id came before; it was done")]


def test_too_many_at_once_are_refused_and_told_only_so_often(desk: Desked) -> None:
    for number in range(300):
        desk.take(packed(replay(f"n{number}")))
    assert len(desk.did) == BURST
    assert desk.desk.refused[Refused.RATE] == 300 - BURST
    assert desk.desk.refused[Refused.UNANSWERED] == 300 - BURST - 100
    desk.now_s += 2
    desk.said()
    desk.take(packed(replay("late")))
    assert desk.said()[-1][1] is Status.DONE


def test_what_nobody_answers_is_given_up_at_its_expiry(desk: Desked) -> None:
    desk.take(packed(RotateKey(id="k", expires=int(NOW_S) + 30)), "rotate-key")
    assert desk.said() == [("k", Status.ACCEPTED, "")]
    assert desk.desk.overdue(desk.now_s + 29) == ()
    assert desk.desk.overdue(desk.now_s + 30) == ("k",)
    desk.desk.finish(Response(id="k"))
    desk.desk.finish(Response(id="k"))
    assert desk.said() == [("k", Status.DONE, "")]


def test_what_waits_for_a_probe_waits_over_a_restart(desk: Desked) -> None:
    desk.take(packed(RotateKey(id="k", expires=int(NOW_S) + 30)), "rotate-key")
    desk.take(packed(replay()))
    desk.kill()
    desk.wall_s += 10
    assert desk.desk.resume(desk.wall_s, desk.now_s) == {"k": Waits("p")}
    assert desk.desk.overdue(desk.now_s + 19) == ()
    assert desk.desk.overdue(desk.now_s + 20) == ("k",)
    desk.desk.finish(Response(id="k"))
    assert desk.said() == [("k", Status.DONE, "")]
    desk.kill()
    assert desk.desk.resume(desk.wall_s, desk.now_s) == {}


def test_a_link_that_is_away_for_long_costs_the_oldest_answers_and_says_so(desk: Desked) -> None:
    for number in range(MAX_ANSWERS // 2 + 1):
        desk.now_s += 1
        desk.take(packed(replay(f"r{number}")))
    assert desk.desk.refused[Refused.UNANSWERED] == 2
    assert [id_ for id_, *_ in desk.said()][:3] == ["r1", "r1", "r2"]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_fuzz_a_damaged_command_is_done_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    desk = _fuzzed(tmp_path_factory)
    example = data.draw(st.sampled_from(schema("cmd")["examples"]))  # type: ignore[arg-type]
    verb = example["data"]["verb"]
    payload = bytearray(
        json.dumps({**example, "source": "/t/s/operator"}).replace("1773486600", str(int(NOW_S))).encode()
    )
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    before = desk.desk.done + sum(desk.desk.refused.values()) + len(desk.desk.overdue(float("inf")))
    desk.now_s += 10
    desk.take(bytes(payload), verb)
    desk.said()
    assert desk.desk.done + sum(desk.desk.refused.values()) + len(desk.desk.overdue(float("inf"))) > before


_DESKS: list[Desked] = []


def _fuzzed(factory: pytest.TempPathFactory) -> Desked:
    if not _DESKS:
        _DESKS.append(Desked(factory.mktemp("fuzz") / "hub.db"))
    return _DESKS[0]
