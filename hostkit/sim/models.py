"""The phone models of the simulated world: what each sends and how often. Data, no behaviour but element assembly.

Behaviours are those measured on labelled phones (derand/cagliari, derand/milano); capability values are made up within
what the standard allows, so that no model is a copy of a recorded phone.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

from hostkit.sim import elements as el

ALL_CHANNELS = tuple(range(1, 14))
US_CHANNELS = tuple(range(1, 12))
OUT_OF_ORDER = (1, 6, 11, 13, 2, 7, 12, 3, 8, 4, 9, 5, 10)  # most phones sweep upwards, an iPhone 11 does not
# A-MPDU parameters of a model's releases, commonest first: what tells releases apart in practice is bits like these.
AMPDU = (0x17, 0x1B, 0x13, 0x03, 0x16, 0x1A, 0x0F, 0x07, 0x12, 0x02, 0x0B, 0x1F)
# Share of a model's phones on its commonest release, and of the rest on the next: with it an hour of a simulated
# street has as many element classes and as large a largest one as one of the recorded room (brno-lab).
BUILD_SHARE = 0.3
FILS_TIMES_TU = (8, 20, 22, 28)  # values seen to change between frames of one address


class Addressing(StrEnum):
    """How a phone picks the address of a probe request."""

    GLOBAL = "global"
    STICKY = "sticky"  # one random address for hours
    PER_SCAN = "per_scan"
    MANY = "many"  # several within one scan


class Varying(Enum):
    """Elements whose bytes are not the model's alone."""

    FILS = 1  # changes from frame to frame
    COUNTER = 2  # a vendor value that changes from scan to scan
    WPS = 3  # carries the phone's own UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementSet:
    """Elements of a full probe request in order: SSID, rates, extended rates, DS if `ds`, HT if any, then `tail`."""

    mixed_rates: bool
    ds: bool
    ht: bytes
    tail: tuple[bytes | Varying, ...]

    def body(self, *, ssid: bytes, channel: int, volatile: int, uuid: bytes, build: int, minimal: bool) -> bytes:
        """Assemble the elements of one frame.

        `volatile` picks the varying bytes, `build` the chip and system release, `minimal` stops after the rates.
        """
        head = el.ssid(ssid) + el.rates(mixed=self.mixed_rates) + el.extended_rates(mixed=self.mixed_rates)
        if minimal:
            return head
        pieces = [
            head,
            el.channel(channel) if self.ds else b"",
            el.with_ampdu(self.ht, AMPDU[build]) if self.ht else b"",
        ]
        for part in self.tail:
            match part:
                case Varying.FILS:
                    pieces.append(el.fils(FILS_TIMES_TU[volatile % len(FILS_TIMES_TU)]))
                case Varying.COUNTER:
                    pieces.append(el.vendor(el.BROADCOM, 2, bytes((volatile & 0xFF, 0, 0x10, 0, 0))))
                case Varying.WPS:
                    pieces.append(el.wps(uuid, b"phone"))
                case bytes():
                    pieces.append(part)
        return b"".join(pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneModel:
    """How one model probes.

    A phone draws one of `periods_s`; `irregular` is the log sd of its gaps, 0 for an exact timer. A scan visits
    `channels` for `dwell_s` each with `repeats` frames; `short_share` of scans cover a few channels only.
    """

    name: str
    addressing: Addressing
    periods_s: tuple[float, ...]
    variants: tuple[ElementSet, ...]
    irregular: float = 0.0
    addresses_per_scan: tuple[int, int] = (1, 1)
    channels: tuple[int, ...] = ALL_CHANNELS
    dwell_s: float = 0.045
    repeats: int = 1
    short_share: float = 0.1
    minimal_share: float = 0.0
    continuous_sequence: bool = False
    directed_share: float = 0.3  # of phones that also ask for saved networks by name


def _apple(ht: int, *caps: int, he_phy: int | None, tail: tuple[bytes | Varying, ...] = ()) -> ElementSet:
    he = () if he_phy is None else (el.he(streams=2, phy=he_phy),)
    return ElementSet(
        mixed_rates=False,
        ds=True,
        ht=el.ht(ht, streams=2),
        tail=(el.extended_capabilities(*caps), *he, *tail),
    )


def _android(ht: int, *caps: int, streams: int = 2, tail: tuple[bytes | Varying, ...] = ()) -> ElementSet:
    return ElementSet(
        mixed_rates=streams == 1,
        ds=True,
        ht=el.ht(ht, streams=streams),
        tail=(el.extended_capabilities(*caps), *tail),
    )


_BRCM = el.vendor(el.BROADCOM, 2, bytes((0, 0, 0x10, 0, 0)))
_EPIGRAM_VHT = el.vendor(el.EPIGRAM, 4, bytes((8,)) + el.vht(0x0F907032, streams=2))
_MS_8 = el.vendor(el.MICROSOFT, 8, bytes((0, 0x13, 0)))
_APPLE_10 = el.vendor(el.APPLE, 10, bytes((0, 1, 4, 0, 0, 0, 0)))

# In order of popularity; phones are drawn by Zipf's law over this order, so the first few have many twins.
MODELS = (
    PhoneModel(
        name="birch-s21",
        addressing=Addressing.PER_SCAN,
        periods_s=(60.0, 60.0, 120.0, 180.0),
        channels=US_CHANNELS,
        repeats=2,
        dwell_s=0.056,
        variants=(
            _android(
                0x002D, 4, 0, 0x48, 0x80, 1, 0x40, 0, 0x40, 0, 0x21,
                tail=(Varying.FILS, el.he(streams=2, phy=0x180808), _EPIGRAM_VHT, _MS_8, _BRCM, el.mbo()),
            ),
            _android(
                0x002D, 4, 0, 0x48, 0x80, 1, 0x40, 0, 0x40, 0, 0x20,
                tail=(Varying.FILS, el.he(streams=2, phy=0x180808), _EPIGRAM_VHT, _MS_8, _BRCM, el.mbo()),
            ),
        ),
    ),
    PhoneModel(
        name="apricot-12",
        addressing=Addressing.MANY,
        addresses_per_scan=(4, 10),
        periods_s=(38.0, 45.0, 60.0),
        irregular=0.7,
        minimal_share=0.2,
        channels=OUT_OF_ORDER,
        dwell_s=0.06,
        variants=(_apple(0x402D, 4, 0, 8, 4, 0, 0, 0, 0x40, he_phy=0x0C8A5),),
    ),
    PhoneModel(
        name="birch-s6",
        addressing=Addressing.GLOBAL,
        periods_s=(60.0, 120.0),
        continuous_sequence=True,
        directed_share=0.5,
        dwell_s=0.078,
        variants=(_android(0x002D, 0, 0, 8, 0x80, 1, tail=(Varying.WPS, _BRCM)),),
    ),
    PhoneModel(
        name="cedar-note",
        addressing=Addressing.PER_SCAN,
        periods_s=(20.0, 120.0, 180.0),
        channels=US_CHANNELS,
        repeats=2,
        dwell_s=0.042,
        variants=(_android(0x012D, 1, 0, 8, 0x82, 0, 0, 0, streams=1, tail=(_MS_8,)),),
    ),
    PhoneModel(
        name="daisy-5",
        channels=US_CHANNELS,
        addressing=Addressing.PER_SCAN,
        periods_s=(50.0, 80.0),
        irregular=0.8,
        repeats=2,
        short_share=0.4,
        dwell_s=0.056,
        variants=(
            _android(
                0x01AD, 4, 0, 0x0A, 0x82, 0, 0x40, 0, 0, 1,
                tail=(el.vht(0x0F8179B2, streams=2), Varying.FILS),
            ),
        ),
    ),
    PhoneModel(
        name="apricot-13",
        addressing=Addressing.MANY,
        addresses_per_scan=(7, 10),
        periods_s=(60.0,),
        continuous_sequence=True,
        dwell_s=0.07,
        variants=(_apple(0x402D, 0, 0, 8, 4, 0, 0, 0, 0x40, he_phy=0x0E8A5),),
    ),
    PhoneModel(
        name="gorse-g",
        addressing=Addressing.GLOBAL,
        periods_s=(128.0,),
        irregular=0.25,
        repeats=2,
        continuous_sequence=True,
        dwell_s=0.084,
        variants=(_android(0x112C, 0, 0, 8, streams=1, tail=(el.interworking(), Varying.COUNTER)),),
    ),
    PhoneModel(
        name="juniper-2",
        addressing=Addressing.GLOBAL,
        periods_s=(60.0, 300.0),
        repeats=2,
        continuous_sequence=True,
        dwell_s=0.083,
        variants=(_android(0x016E, 0, 0, 0, streams=1, tail=(_BRCM,)),),
    ),
    PhoneModel(
        name="birch-a52",
        addressing=Addressing.PER_SCAN,
        periods_s=(60.0, 120.0),
        repeats=2,
        dwell_s=0.045,
        variants=(_android(0x012D, 4, 0, 0x4A, 2, 0, 0, 0, streams=1, tail=(Varying.FILS, _MS_8, el.mbo())),),
    ),
    PhoneModel(
        name="fir-p20",
        addressing=Addressing.STICKY,
        periods_s=(60.0, 180.0),
        repeats=2,
        dwell_s=0.07,
        variants=(_android(0x01AD, 1, 0, 8, 0, 0, 0, 0, 0x40, tail=(el.vht(0x0F805932, streams=2),)),),
    ),
    PhoneModel(
        name="apricot-7",
        addressing=Addressing.PER_SCAN,
        periods_s=(35.0, 50.0),
        irregular=0.8,
        repeats=2,
        continuous_sequence=True,
        dwell_s=0.04,
        variants=(_apple(0x002D, 0, 0, 8, 4, 0, 0, 0, 0x40, he_phy=None, tail=(el.interworking(), _APPLE_10, _BRCM)),),
    ),
    PhoneModel(
        name="elm-find",
        addressing=Addressing.PER_SCAN,
        periods_s=(20.0, 25.0),
        irregular=0.5,
        directed_share=0.7,
        dwell_s=0.057,
        variants=(
            _android(
                0x01EF, 4, 0, 0x0A, 0x82, 0, 0x40, 0, 0, 1, 0x20,
                tail=(el.vht(0x338059B2, streams=2), _MS_8, el.mbo()),
            ),
        ),
    ),
    PhoneModel(
        name="cedar-10",
        addressing=Addressing.STICKY,
        periods_s=(120.0,),
        directed_share=0.5,
        dwell_s=0.056,
        variants=(_android(0x01AD, 4, 0, 8, 0x80, 0, 0x40, 0, 0x40, tail=(el.he(streams=2, phy=0x1C0C08), _MS_8)),),
    ),
    PhoneModel(
        name="holly-x",
        addressing=Addressing.PER_SCAN,
        periods_s=(120.0, 180.0),
        channels=US_CHANNELS,
        dwell_s=0.027,
        variants=(_android(0x012D, 1, 0, 8, 0x82, 0, 0, 0, streams=1, tail=(_MS_8, Varying.COUNTER)),),
    ),
    PhoneModel(
        name="ivy-xp",
        addressing=Addressing.PER_SCAN,
        periods_s=(60.0,),
        continuous_sequence=True,
        repeats=2,
        dwell_s=0.045,
        variants=(_android(0x01AD, 5, 0, 8, 0, 0, 0, 0, 0x40, tail=(el.rm_enabled(0x70, 0, 0, 0, 0), _MS_8)),),
    ),
)  # fmt: skip

FIXED_MODELS = (
    PhoneModel(
        name="desktop",
        addressing=Addressing.GLOBAL,
        periods_s=(60.0, 120.0),
        irregular=0.5,
        continuous_sequence=True,
        short_share=0.5,
        directed_share=0.0,
        variants=(_android(0x19EF, 0, 0, 8, 0x80, 0, 0, 0, 0x40),),
    ),
    PhoneModel(
        name="printer",
        addressing=Addressing.GLOBAL,
        periods_s=(180.0,),
        continuous_sequence=True,
        short_share=0.0,
        directed_share=1.0,
        channels=US_CHANNELS,
        variants=(ElementSet(mixed_rates=True, ds=False, ht=el.ht(0x002C, streams=1), tail=()),),
    ),
    PhoneModel(
        name="desktop-2",
        addressing=Addressing.GLOBAL,
        periods_s=(120.0,),
        irregular=0.3,
        continuous_sequence=True,
        directed_share=0.0,
        variants=(_android(0x19EF, 0, 0, 0, 0x80, 0, 0, 0, 0x40, tail=(_MS_8,)),),
    ),
    PhoneModel(
        name="screen",
        addressing=Addressing.STICKY,
        periods_s=(300.0,),
        continuous_sequence=True,
        directed_share=0.0,
        variants=(_android(0x012D, 0, 0, 0, 0, 0, 0, 0, 0x40, streams=1),),
    ),
)
