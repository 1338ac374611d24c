"""A tag registered at the real hub, through broker and firmware: flagged, left out, and given or taken at once."""

import pytest

from hostkit.core.wire import Flag
from hostkit.hub.tags import TagRole, add_tag, remove_tag, tag_of
from tests.firmware.board import RETRY, Board, Frame
from tests.firmware.shop import Shop, frame, wait

pytestmark = pytest.mark.needs("mosquitto")
SCANNER = "00:1b:c5:0a:00:07"


def test_a_list_that_changes_reaches_the_probe_at_once_and_its_tags_count_nobody(shop: Shop, board: Board) -> None:
    data = shop.folder / "hub"
    data.mkdir(exist_ok=True)
    add_tag(data, tag_of("scanner", TagRole.STAFF, SCANNER, random=False))
    scanner: Frame = (SCANNER.replace(":", ""), 77, 0, 9, -50, -95, 6, RETRY)

    seen: set[tuple[int, int]] = set()

    def flags() -> list[int]:
        """Hear scanner and phone; give the flag of the scanner's record."""
        seen.update(shop.batches())
        board.air(scanner, frame(1))
        return wait(
            lambda: [
                int(one["flags"]) & Flag.REGISTERED
                for name, batch in shop.batches().items()
                if name not in seen
                for one in batch.records[batch.records["fingerprint"] == 77]
            ]
        )

    shop.start_hub()
    board.start()
    board.until("app.keys.any and [len(key.registry) for key in app.keys._keys] == [8, 8] and app.capture.key_id")
    assert flags() == [16]
    hub = shop.hub
    assert hub is not None
    wait(lambda: hub._parts.tags.heard == 1)
    first = board.eval("app.capture.key_id")
    remove_tag(data, "scanner")
    board.until("[len(key.registry) for key in app.keys._keys] == [0, 0]")
    assert flags() == [0]
    assert board.eval("app.capture.key_id") == first
    wait(lambda: hub._parts.keeper.counts["frames"] == 3)  # the phone's two, and the scanner's once off the list
    shop.stop_hub()
    assert hub._parts.tags.heard == 1
