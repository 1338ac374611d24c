"""The other end of a rollout: gives a hub a release and follows it until it is over. For `footfall probe update`."""

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from hostkit.contract.commands import Response, Rollout, RolloutState
from hostkit.errors import PeerError
from hostkit.hub.ask import ANSWER_S, EXPIRES_S, Envoy, ask
from hostkit.hub.rollout import RELEASE
from hostkit.io.files import write_files
from hostkit.io.release import copied

LOOK_S = 5.0  # a look is a command: a hub takes one a second


def update_probes(
    envoy: Envoy,
    *,
    release: Path | None,
    data: Path,
    probes: tuple[str, ...],
    on_state: Callable[[RolloutState], None],
) -> RolloutState:
    """Update the probes of a site in stages and give how it ended; `state` is "done" only if all kept the new image.

    `release`: folder as scripts/release lays it out, copied into the hub's `data` folder, so call it on the hub's
    machine; None: what lies there already. `probes` none: all. `on_state` gets every look, one each LOOK_S, the last
    included; stop following by raising from it: the hub goes on (`stop_update` stops it). Raises InputError for a
    release that is none, PeerError where the hub does not answer or refuses, StorageError.
    """
    if release is not None:
        write_files(copied(release, data / RELEASE))
    state = _asked(envoy, "begin", probes)
    on_state(state)
    while state.state == "running":
        time.sleep(LOOK_S)
        state = _asked(envoy, "status")
        on_state(state)
    return state


def stop_update(envoy: Envoy) -> RolloutState:
    """Let no further stage begin. Who has the whole image goes on by itself: it keeps it, or goes back."""
    return _asked(envoy, "stop")


def _asked(envoy: Envoy, step: Literal["begin", "status", "stop"], probes: tuple[str, ...] = ()) -> RolloutState:
    command = Rollout(id=secrets.token_hex(8), expires=int(time.time()) + EXPIRES_S, step=step, probes=probes)
    response: Response = ask(envoy, command, wait_s=ANSWER_S, on_accepted=lambda _: None)
    if response.error is not None:
        raise PeerError(response.error.what, where=f"rollout {step}", next_step=response.error.next_step)
    if response.rollout is None:
        raise PeerError("the hub is of an older release", where=f"rollout {step}", next_step="update the hub first")
    return response.rollout
