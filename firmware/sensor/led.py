"""What the LED says to somebody on a ladder: one pattern a state, told apart by rhythm alone. Pure."""

STEP_MS = 100
# Each char is STEP_MS, 1 is on; repeated. The most urgent state that holds is shown.
PATTERNS = {
    "identify": "10",
    "pass": "1" * 28 + "00",  # on, with a wink every three seconds: whoever installs it may come down
    "fail": "11111111" + "00100100" + "00000000",  # long, short, short
    "factory": "1111111111" + "0000000000",  # not set up: slow
    "no-network": "1010000000",  # two blinks: no cable, no access point
    "no-hub": "1010100000",  # three: network, but no broker or hub
    "no-key": "1010101000",  # four: hub, but no key yet
    "no-frames": "1010101010" + "0000000000",  # five: everything, yet nothing was heard
    "good": "1" + "0" * 29,  # a flash every three seconds
    "updating": "1110",
}


def lit(state: str, now_ms: int) -> bool:
    """Tell whether the LED is on."""
    pattern = PATTERNS[state]
    return pattern[now_ms // STEP_MS % len(pattern)] == "1"


def state_of(shown: str, updating: bool, network: bool, hub: bool, key: bool, heard: bool) -> str:
    """Give the state to show; `shown` is what somebody asked for, "" for nothing."""
    if shown:
        return shown
    if updating:
        return "updating"
    if not hub:
        return "no-hub" if network else "no-network"
    if not key:
        return "no-key"
    return "good" if heard else "no-frames"
