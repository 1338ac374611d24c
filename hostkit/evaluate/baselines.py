"""What else people count phones by, as labels of sightings: addresses, elements, clustering. None is in the product.

Clustering gets what a user who knows the data would give it: bursts instead of frames, one run for each element
class, all bursts of one address in one cluster. Settings were chosen on every second recorded
phone by name, from the first.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hostkit.errors import InputError
from hostkit.evaluate.extras import imported
from hostkit.evaluate.labelled import Labelled

BURST_GAP_US = 1_000_000
UNHEARD_DBM = -95.0  # stands for what a probe did not hear
LEAST_CLUSTER, CORE_BURSTS = 8, 3  # HDBSCAN's min_cluster_size and min_samples, in bursts
SEQUENCES = 4096
SEQUENCE_STEP, LINK_S = 64, 60.0  # DBSCAN's eps: so many sequence numbers on, or so long, is too far
NEIGHBOURS = 200  # following bursts that DBSCAN looks at


def baselines() -> Mapping[str, Callable[[Labelled], NDArray[np.int64]]]:
    """Every baseline by name: labels (N,) of sightings (N,). InputError where scikit-learn is missing."""
    return MappingProxyType(
        {
            "addresses": addresses,
            "element_hash": element_hash,
            "masked_element_hash": masked_element_hash,
            "hdbscan": hdbscan,
            "dbscan_sequence": dbscan_sequence,
        }
    )


def addresses(of: Labelled) -> NDArray[np.int64]:
    """Every address is a device."""
    return _numbered(of.sightings["device_key"])


def element_hash(of: Labelled) -> NDArray[np.int64]:
    """Every set of elements is a device, nothing masked but SSID and channel."""
    return _numbered(of.elements)


def masked_element_hash(of: Labelled) -> NDArray[np.int64]:
    """Every fingerprint is a device: the elements under the product's static table."""
    return _numbered(of.sightings["fingerprint"])


def hdbscan(of: Labelled) -> NDArray[np.int64]:
    """HDBSCAN of the bursts' RSSI vectors within each fingerprint; noise joins the nearest cluster."""
    cluster, bursts = imported("sklearn.cluster"), _bursts(of)

    def labels(mine: NDArray[np.int64]) -> NDArray[np.int64]:
        if len(mine) < 2 * LEAST_CLUSTER:
            return np.zeros(len(mine), np.int64)
        vectors = bursts.rssi_dbm[mine]
        hdbscan = cluster.HDBSCAN(min_cluster_size=LEAST_CLUSTER, min_samples=CORE_BURSTS, copy=True)
        found = hdbscan.fit_predict(vectors)
        return _without_noise(vectors, np.asarray(found, np.int64))

    return _by_class(bursts, labels)


def dbscan_sequence(of: Labelled) -> NDArray[np.int64]:
    """DBSCAN within each fingerprint; far is what follows late or with a sequence number that does not go on."""
    cluster, sparse, bursts = imported("sklearn.cluster"), imported("scipy.sparse"), _bursts(of)

    def labels(mine: NDArray[np.int64]) -> NDArray[np.int64]:
        one, other, far = _follow(bursts, mine)
        graph = sparse.csr_matrix((far, (one, other)), shape=(len(mine), len(mine)))
        found = cluster.DBSCAN(eps=1.0, min_samples=1, metric="precomputed").fit_predict(graph + graph.T)
        return np.asarray(found, np.int64)

    return _by_class(bursts, labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Bursts:
    """Runs of one address's frames (M,), in order of time; `address` (N,) is that of each sighting."""

    first_us: NDArray[np.int64]
    last_us: NDArray[np.int64]
    first_sequence: NDArray[np.int64]
    last_sequence: NDArray[np.int64]
    of_address: NDArray[np.int64]
    fingerprint: NDArray[np.int64]
    rssi_dbm: NDArray[np.float64]
    address: NDArray[np.int64]


def _bursts(of: Labelled) -> _Bursts:
    address = _numbered(of.sightings["device_key"])
    order = np.lexsort((of.sightings["time_us"], address))
    rows = of.sightings[order]
    new = np.diff(address[order], prepend=-1) != 0
    new |= np.diff(rows["time_us"], prepend=rows["time_us"][:1]) > BURST_GAP_US
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(rows)) - 1
    rssi_dbm = np.full((len(first), of.probes), -np.inf)
    np.maximum.at(rssi_dbm, (np.cumsum(new) - 1, rows["probe"]), rows["rssi_dbm"].astype(np.float64))
    rssi_dbm[np.isinf(rssi_dbm)] = UNHEARD_DBM
    by_time = np.argsort(rows["time_us"][first], kind="stable")
    first, last = first[by_time], last[by_time]
    return _Bursts(
        first_us=rows["time_us"][first],
        last_us=rows["time_us"][last],
        first_sequence=rows["sequence"][first].astype(np.int64),
        last_sequence=rows["sequence"][last].astype(np.int64),
        of_address=address[order][first],
        fingerprint=rows["fingerprint"][first].astype(np.int64),
        rssi_dbm=rssi_dbm[by_time],
        address=address,
    )


def _by_class(bursts: _Bursts, labels: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> NDArray[np.int64]:
    """Label each class's bursts apart; an address goes where most of its bursts are. Gives labels of sightings."""
    found = np.empty(len(bursts.first_us), np.int64)
    used = 0
    for fingerprint in np.unique(bursts.fingerprint):
        mine = np.flatnonzero(bursts.fingerprint == fingerprint)
        found[mine] = labels(mine) + used
        used = int(found[mine].max()) + 1
    pairs, votes = np.unique(bursts.of_address * np.int64(used) + found, return_counts=True)
    pairs = pairs[np.lexsort((votes, pairs // used))]
    winner = np.empty(int(pairs[-1] // used) + 1, np.int64)
    winner[pairs // used] = pairs % used  # the last, so the most voted for, stays
    return winner[bursts.address]


def _without_noise(vectors: NDArray[np.float64], found: NDArray[np.int64]) -> NDArray[np.int64]:
    clusters = np.unique(found[found >= 0])
    if not len(clusters):
        return np.zeros(len(found), np.int64)
    centres = np.array([vectors[found == one].mean(axis=0) for one in clusters])
    noise = np.flatnonzero(found < 0)
    far = ((vectors[noise, None, :] - centres[None]) ** 2).sum(axis=2)
    found[noise] = clusters[np.argmin(far, axis=1)]
    return found


def _follow(
    bursts: _Bursts, mine: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of bursts, the later after the earlier, and how far the step is; 1 is the farthest still linked."""
    ones, others, distances = [], [], []
    for step in range(1, min(NEIGHBOURS, len(mine) - 1) + 1):
        earlier, later = mine[:-step], mine[step:]
        late = np.maximum(bursts.first_us[later] - bursts.last_us[earlier], 0) / 1e6 / LINK_S
        on = (bursts.first_sequence[later] - bursts.last_sequence[earlier]) % SEQUENCES / SEQUENCE_STEP
        same = bursts.of_address[earlier] == bursts.of_address[later]
        far = np.where(same, 0.5, np.maximum(np.maximum(late, on), 1e-6))
        near = np.flatnonzero(far <= 1)
        ones.append(near)
        others.append(near + step)
        distances.append(far[near])
    if not ones:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    return np.concatenate(ones), np.concatenate(others), np.concatenate(distances)


def _numbered(values: NDArray[np.uint64] | NDArray[np.uint32]) -> NDArray[np.int64]:
    return np.asarray(np.unique(values, return_inverse=True)[1], np.int64)


def load() -> None:
    """Import what the baselines need, as far as it is there, so that no measured time contains it."""
    for name in ("sklearn.cluster", "scipy.sparse"):
        with suppress(InputError):
            imported(name)
