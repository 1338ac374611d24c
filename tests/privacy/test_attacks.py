"""With a day's key seized, what left the site does not tell who was there, nor links a phone's days; keys would.

Also the moment and order in which visits are published tell no more than their rows.
"""

from functools import cache
from pathlib import Path

import pytest

from hostkit.contract.codec import VISITS
from hostkit.hub.chain import Heard
from hostkit.hub.keeper import Keeper
from hostkit.hub.voice import Voice
from hostkit.io.outbox import Outbox
from hostkit.model import Provenance
from tests.hub.keys import held_key
from tests.hub.test_chain import SITE, START_US, crowd
from tests.privacy.attacks import ALLOWED, CHANCE, World, linkage, membership, world

GRAIN_S = SITE.privacy.time_grain_s


@cache
def worlds() -> tuple[World, ...]:
    return tuple(world(seed) for seed in range(1, 5))


@pytest.mark.parametrize("attack", [linkage, membership])
def test_the_attack_does_no_better_than_chance_and_with_device_keys_it_wins(attack) -> None:  # type: ignore[no-untyped-def]
    train, test = worlds()[::2], worlds()[1::2]
    score, control = attack(train, test), attack(train, test, with_keys=True)
    print(f"{attack.__name__}: {score}; with device keys {control}")
    assert score.cases > 80
    assert score.accuracy <= CHANCE + ALLOWED
    assert control.low > 0.9


def published(folder: Path) -> list[tuple[float, float, list[str]]]:
    """Give, for each message: when it was made, what it says of that, and its visits in order."""
    outbox, voice = Outbox(folder / "hub.db"), Voice(SITE)
    voice.provenance = Provenance.REPLAY
    keeper = Keeper(SITE, outbox, voice)
    keeper.begin(held_key(7), "one", START_US / 1e6)
    made, seen = [], 0
    for entry in crowd():
        if isinstance(entry, Heard):
            keeper.take(entry)
            continue
        keeper.step_to(entry.until_us, entry.until_us / 1e6)
        keeper.emit(entry.until_us / 1e6)
        for one in outbox.waiting(seen, 100):
            message, seen = VISITS.decoder.decode(one.payload), one.seq
            made.append((entry.until_us / 1e6, message.time.timestamp(), [row.visit_id for row in message.data.rows]))
    outbox.close()
    return made


def test_a_message_tells_the_grain_in_which_its_visits_ended_and_no_more(tmp_path: Path) -> None:
    made = published(tmp_path)
    assert sum(len(ids) for *_, ids in made) > 20
    for at_s, told_s, ids in made:
        assert at_s % GRAIN_S == told_s % GRAIN_S == 0  # the hub's steps fall on grains here
        assert ids
    assert len({at_s for at_s, *_ in made}) == len(made)  # a message a grain
