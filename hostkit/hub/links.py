"""The hub's two connections: what it subscribes to, as whom, with which session."""

from hostkit.contract.homeassistant import STATUS_TOPIC
from hostkit.hub.voice import NODE, Voice
from hostkit.io.mqtt import BrokerUrl, Client, Inbox

SITE_LINK, UPLINK = "site broker", "uplink broker"


def site_client(voice: Voice, url: BrokerUrl, inbox: Inbox, *, shared: bool) -> Client:
    """Make the client that hears probes and, on a broker `shared` with the collector, talks to that.

    Its session outlives the hub, so that `obs` waits at the broker; what may hold a key (`rsp`) comes at QoS 0, which
    no session stores. One client a broker: brokers that take the identity for the client id allow no second.
    """
    return Client(
        url,
        inbox,
        name=SITE_LINK,
        client_id=_identity(voice),
        clean=False,
        subscriptions=(
            *((voice.pattern(stream), 0) for stream in ("state", "info", "health", "rsp/+")),
            (voice.pattern("obs"), 1),
            (STATUS_TOPIC, 0),
            *(_from_above(voice) if shared else ((_own(voice, "cmd/+"), 1),)),
        ),
        state_topic=voice.topic("state"),
    )


def uplink_client(voice: Voice, url: BrokerUrl, inbox: Inbox) -> Client:
    """Make the client that talks to the collector on a broker of its own."""
    return Client(
        url,
        inbox,
        name=UPLINK,
        client_id=_identity(voice),
        clean=False,
        subscriptions=_from_above(voice),
        state_topic=voice.topic("state"),
    )


def _identity(voice: Voice) -> str:
    return f"{voice.site.tenant}/{voice.site.site}/{NODE}"


def _from_above(voice: Voice) -> tuple[tuple[str, int], ...]:
    return ((_own(voice, "ack"), 0), (_own(voice, "cmd/+"), 1), (_own(voice, "config"), 1))


def _own(voice: Voice, stream: str) -> str:
    return voice.topic("state").removesuffix("state") + stream
