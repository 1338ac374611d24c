"""The steps of an installation that are a board's own: provision and verify, as the fleet runs them."""

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hostkit.contract.messages import State
from hostkit.errors import PeerError, UsageError
from hostkit.hub.fleet import probe_hash
from hostkit.install.codes import Codes, Credential
from hostkit.install.flash import port_of
from hostkit.install.fleet import Board, Job, Step
from hostkit.install.hubline import HubLine
from hostkit.install.journal import Journal
from hostkit.install.journal import State as Done
from hostkit.install.provision import Network, Order, provision
from hostkit.install.verify import WAIT_S, Look, verify
from hostkit.install.way import by_ble, open_way
from hostkit.io.files import write_files
from hostkit.model import Probe, Site

COLUMNS = ("uplink", "board", "ssid")  # of a CSV: what may differ from board to board


@dataclass(slots=True, kw_only=True)
class Plan:
    """What all boards share. `network` gives a board's from the cells of its line; `codes` may come later."""

    site: Site
    network: Callable[[Mapping[str, str]], Network]
    hub: HubLine | None
    codes: Codes | None = None
    take_over: bool = False
    ble_only: bool = False
    wait_s: float = WAIT_S

    def lacks_codes(self, boards: Sequence[Board], journal: Journal) -> bool:
        """Tell whether one of the boards, which are checked by the way, is still to be given a credential."""
        step = provision_step(self)
        for board in boards:
            entry = journal.entries(board.probe).get(step.name)
            done = entry is not None and entry.state is Done.DONE and entry.inputs == step.inputs(board)
            if self.order(board).network.uplink != "serial" and not done:
                return True
        return False

    def probe(self, board: Board) -> Probe:
        """Give the probe of site.toml that a board is to be; UsageError where there is none."""
        found = next((probe for probe in self.site.probes if probe.id == board.probe), None)
        if found is None:
            known = ", ".join(probe.id for probe in self.site.probes) or "none"
            raise UsageError(
                f"site.toml has no probe {board.probe[:40]!a} (it has: {known})",
                where="probe",
                next_step="correct the id, or add the probe",
            )
        return found

    def order(self, board: Board) -> Order:
        """Give what a board is to become."""
        network = self.network(board.cells)
        return Order(site=self.site, probe=self.probe(board), network=network, take_over=self.take_over)


def provision_step(plan: Plan) -> Step:
    """Give the step `provision`. Facts: what the board holds, without secrets."""

    def run(job: Job) -> dict[str, str]:
        order = plan.order(job.board)
        port = job.board.port if by_ble(job.board.port) else port_of(job)
        _free(plan, order)
        credential = credential_for(plan.codes, order, port, job.say)
        done = provision(order, lambda: open_way(port), credential, job.say, tried=job.tried)
        return {"port": port, "firmware": done.firmware, "uplink": order.network.uplink, "identity": order.identity}

    def inputs(board: Board) -> str:
        network, probe = plan.network(board.cells), plan.probe(board)
        told = repr((plan.site.tenant, plan.site.site, probe_hash(probe), replace(network, password="")))
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    return Step(name="provision", run=run, inputs=inputs)


def credential_for(
    codes: Codes | None, order: Order, port: str, say: Callable[[str], None]
) -> Callable[[], Credential] | None:
    """Give how a board gets its credential; None on the hub's own line. UsageError without a code."""
    if order.network.uplink == "serial":
        return None
    if codes is None:
        raise UsageError("there is no code for it", where=order.probe.id, next_step="give --codes or --bundle")
    if by_ble(port):
        return lambda: codes.for_board(order.identity)
    return lambda: codes.credential(order.identity, say)


def verify_step(plan: Plan) -> Step:
    """Give the step `verify`. Facts: what was heard."""

    def run(job: Job) -> dict[str, str]:
        serial = plan.network(job.board.cells).uplink == "serial"
        port = None if serial or by_ble(job.board.port) else port_of(job)
        if port is None and plan.hub is None:
            step = "give --as DIR or --broker URL"
            raise UsageError("only the hub can say it", where=job.board.probe, next_step=step)
        look = Look(probe=plan.probe(job.board), hub=plan.hub, port=port, ble_only=plan.ble_only, wait_s=plan.wait_s)
        done = verify(look, job.say, job.check)
        if done.standing.failed is not None:
            standing = done.standing
            raise PeerError(standing.what, where=str(standing.failed), next_step=standing.next_step)
        row = done.evidence.row
        rates = {"wifi_per_s": f"{row.wifi_per_s:g}", "ble_per_s": f"{row.ble_per_s:g}"} if row else {}
        return {"seconds": f"{done.seconds:.0f}", "witness": "hub" if row else "board", **rates}

    return Step(name="verify", run=run, inputs=lambda board: "ble-only" if plan.ble_only else "")


def label_step(plan: Plan, folder: Path) -> Step:
    """Give the step `label`: a label of the probe to print, in `folder`. Facts: its file."""

    def run(job: Job) -> dict[str, str]:
        path = folder / f"label-{job.board.probe}.pdf"
        label = importlib.import_module("hostkit.install.label")  # a third of a second: only once all else is well
        write_files(label.draw_labels([label.label_of(plan.site, plan.probe(job.board))], path))
        return {"file": str(path)}

    return Step(name="label", run=run, inputs=lambda board: probe_hash(plan.probe(board)))


def _free(plan: Plan, order: Order) -> None:
    """See that no other board is this probe now: a new credential would shut it out."""
    if plan.hub is None or plan.take_over or not plan.hub.reachable() or not plan.hub.knows_any():
        return
    try:
        row = plan.hub.next().row(order.probe.id)
    except PeerError:
        return  # it has just gone
    if row is not None and row.state not in {None, State.OFFLINE}:
        raise PeerError(
            f"another board is {order.probe.id} now, and is {row.state}",
            where="hub",
            next_step="give this one another id; was it this one, wait a minute; to replace it: footfall probe replace",
        )
