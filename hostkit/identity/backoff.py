"""Who keeps trying wrong codes waits longer each time. Pure: peers are names, time is an argument."""

from collections import OrderedDict

FREE = 3  # a person mistypes
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 900.0
FORGET_S = 3600.0
MAX_PEERS = 1024


class Backoff:
    """Counts wrong tries by peer; the peer heard longest ago is forgotten first."""

    def __init__(self) -> None:
        self._peers: OrderedDict[str, tuple[int, float]] = OrderedDict()  # wrong tries, time of the last

    def wait_s(self, peer: str, now_s: float) -> float:
        """Tell how long `peer` must wait; 0 if not at all."""
        wrong, last_s = self._peers.get(peer, (0, now_s))
        if wrong < FREE or now_s >= last_s + FORGET_S:
            return 0.0
        return max(0.0, last_s + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(wrong - FREE, 32)) - now_s)

    def wrong(self, peer: str, now_s: float) -> int:
        """Note a wrong try; tell how many there were."""
        count, last_s = self._peers.pop(peer, (0, now_s))
        count = 1 if now_s >= last_s + FORGET_S else count + 1
        self._peers[peer] = count, now_s
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        return count
