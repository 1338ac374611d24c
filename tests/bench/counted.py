"""One call of one kernel, for an emulator that counts instructions: `python -m tests.bench.counted KERNEL ITEMS`."""

import sys
from collections.abc import Callable

import numpy as np

from hostkit.core.associate import Tracker
from hostkit.core.ble import BleReader
from hostkit.core.multilaterate import multilaterate
from tests import ble_builders
from tests.bench import kernels
from tests.bench import workloads as w
from tests.builders import KEY


def prepare(kernel: str, items: int) -> Callable[[], object]:
    """Give the call, on the workloads of the table."""
    return PREPARED[kernel](items)


def _parse(items: int) -> Callable[[], object]:
    capture = w.street(items)
    return lambda: kernels.parse(capture)


def _ble(items: int) -> Callable[[], object]:
    packets = [
        ble_builders.nordic(ble_builders.on_air(ble_builders.advert(address=bytes((n % 250,)) * 6)))
        for n in range(items)
    ]
    capture = ble_builders.pcap(packets)
    return lambda: BleReader(capture, KEY).read_adverts(items)


def _locate(items: int) -> Callable[[], object]:
    case = w.bursts(items)
    it = kernels.locator(case)
    return lambda: it.fixes(case.rssi_dbm.astype(np.float32))


def _solve(items: int) -> Callable[[], object]:
    case = w.bursts(items)
    model = {"rssi_1m_dbm": w.MODEL.rssi_1m_dbm, "exponent": w.MODEL.exponent, "sigma_db": w.MODEL.sigma_db}
    return lambda: multilaterate(case.rssi_dbm, case.anchors_m, power_sigma_db=w.MODEL.power_sigma_db, **model)


def _dwell(items: int) -> Callable[[], object]:
    columns = kernels.columns_of(w.walks(max(1, items // 1000), 1000).as_heard())
    return lambda: kernels.segment(columns)


def _associate(items: int) -> Callable[[], object]:
    rows = w.crowd(items // 120, 10, 20)
    it = Tracker(w.PROBES)
    return lambda: it.feed(rows)


PREPARED = {
    "parse": _parse,
    "ble": _ble,
    "locate": _locate,
    "locate LM": _solve,
    "dwell": _dwell,
    "associate": _associate,
}

if __name__ == "__main__":
    prepare(sys.argv[1], int(sys.argv[2]))()
