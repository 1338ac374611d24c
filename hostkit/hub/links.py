"""The hub's two connections: what it subscribes to, as whom, with which session."""

from hostkit.contract.homeassistant import STATUS_TOPIC
from hostkit.hub.voice import NODE, Voice
from hostkit.io.mqtt import BrokerUrl, Client, Inbox

SITE_LINK, UPLINK = "site broker", "uplink broker"


def site_client(voice: Voice, url: BrokerUrl, inbox: Inbox) -> Client:
    """Make the client that hears probes. Its session outlives the hub, so that `obs` waits at the broker.

    `obs` alone comes at QoS 1: while batches wait for a key, nothing else may wait behind them at the broker; and what
    may hold a key (`rsp`) is never stored in a session.
    """
    return Client(
        url,
        inbox,
        name=SITE_LINK,
        client_id=f"{voice.site.tenant}/{voice.site.site}/{NODE}",
        clean=False,
        subscriptions=(
            *((voice.pattern(stream), 0) for stream in ("state", "info", "health", "rsp/+")),
            (voice.pattern("obs"), 1),
            (STATUS_TOPIC, 0),
        ),
        state_topic=voice.topic("state"),
    )


def uplink_client(voice: Voice, url: BrokerUrl, inbox: Inbox, *, shared: bool) -> Client:
    """Make the client that talks to the collector; on a `shared` broker the site client tells the state."""
    prefix = voice.topic("state").removesuffix("state")
    return Client(
        url,
        inbox,
        name=UPLINK,
        client_id=f"{voice.site.tenant}/{voice.site.site}/{NODE}/uplink",
        clean=False,
        subscriptions=((f"{prefix}ack", 0), (f"{prefix}cmd/+", 1)),
        state_topic=None if shared else voice.topic("state"),
    )
