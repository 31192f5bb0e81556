"""What an engine must promise: the contract between the server and its store.

The model is *logs and cursors*. A published message is appended once to the log of every
subscribed channel or pattern that matches it; every client has a cursor, the id of the last
message known to be received. An engine stores clients, subscriptions and logs, and tells the
workers that follow a channel about new messages. It knows nothing of transports.

Calls go down and return values; the one way up is :class:`EngineEvents`.

Message ids are integers: microseconds of the store's clock, raised so that each is greater than
the one before. They order all messages of one store and are the positions of cursors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ..bayeux.limits import SubscriptionLimits
from ..errors import EngineError
from .records import (
    NO_LIMITS,
    NOBODY,
    Batch,
    Message,
    Owed,
    Owner,
    Progress,
    Session,
    Snapshot,
    Standing,
    Verdict,
)

if TYPE_CHECKING:
    from ..settings import EngineSettings

__all__ = [
    "NOBODY", "NO_LIMITS", "Batch", "Engine", "EngineEvents", "Message", "Owed", "Owner",
    "Progress", "Published", "Session", "Snapshot", "Standing", "SubscriptionLimits", "Verdict",
    "log_retention", "merge",
]

_RETENTION_MARGIN = 60.0  # seconds: clean-up runs late, a client reads slowly


def log_retention(settings: EngineSettings) -> float:
    """Seconds a log keeps a message: as long as a client can come back for it, and a margin."""
    return min(settings.message_ttl, settings.client_timeout + _RETENTION_MARGIN)


def merge(logs: Collection[list[Message]], limit: int, cut: int, gap: bool) -> Batch:
    """Put logs, read up to ``limit`` messages each, into one order; each message once.

    A log that was cut short hides what follows, so nothing after its last message is given.

    :param cut: id up to which the logs were read.
    :param gap: see ``Batch.gap``.
    """
    position = min([cut, *(log[-1].id for log in logs if len(log) >= limit)])
    unique = {message.id: message for log in logs for message in log if message.id <= position}
    return Batch([unique[id] for id in sorted(unique)], position, position == cut, gap)


Published = Callable[[int | EngineError], None]
"""Gets the id of a published message, or what went wrong."""


class EngineEvents(Protocol):
    """The only calls from an engine upwards. They must neither block nor raise."""

    def messages(self, batch: list[Message]) -> None:
        """New messages on followed channels, in order of id. One message may come twice in a
        row; the receiver compares ids."""

    def released(self, client_id: str, epoch: int, heard: int) -> None:
        """Another worker holds the client now, as of ``epoch``: let go of older connections. A
        stream's last position has to be saved (``Standing.ENDED``), which answers the new holder.

        :param heard: no message up to this id has a subscription that the connection cannot know.
        """

    def changed(self, client_id: str, version: int, since: int) -> None:
        """The client's subscriptions were changed, to at least ``version``.

        :param since: new ones count from this id on, or a later one.
        """

    def delivered(self, heard: int, written: bool) -> int:
        """How far every stream that "follows" has delivered, given that all messages up to
        ``heard`` have been told: where their clients go on if this worker dies. Once a second.

        :param written: what was returned last has been stored.
        """

    def connected(self, client_id: str, connect_id: str) -> None:
        """A connect came whose answer goes by the stream that the client has here: it has what
        was sent before, and goes on with this stream."""

    def destroyed(self, client_id: str, kicked: bool = False) -> None:
        """The client has left, has expired or was kicked; drop its connection."""

    def recovered(self) -> None:
        """Calls may have been missed: look at the session of every connection again."""

    def missed(self) -> None:
        """Messages have been missed that the logs no longer have. What ``messages`` tells next may
        come after them: every connection has to read its own logs again."""

    def remembered(self) -> list[Snapshot]:
        """Every client whose latest connection may be this worker's, open or just answered."""

    def restored(self) -> None:
        """What was ``remembered`` has been put back: positions of streams are their own again."""

    def forgotten(self, client_id: str) -> None:
        """The client must not be put back from memory as it was."""

    def expired(self, client_id: str, channels: list[str]) -> None:
        """This worker removed the client, which had expired or was further behind than its logs
        reach (once in the cluster per client)."""


class Engine(Protocol):
    """The verbs. All may raise :class:`~faye_redis.errors.EngineUnavailable`.

    Every verb is atomic: it happens wholly or not at all, also against other workers. Client
    ids are opaque strings; callers have checked channel names and client ids before.
    """

    server_id: str
    """Name of this worker in the cluster; random per start."""

    def start(self, events: EngineEvents) -> None:
        """Open connections, start greenlets; called once in each worker, after fork. A store that
        is merely out of reach is tried again for as long as it takes.

        :raises ConfigurationError: an option is wrong, as the store itself says.
        """

    def check(self) -> None:
        """Find out whether the store can be used.

        :raises ConfigurationError: an option is wrong, as the store itself says.
        """

    def close(self) -> None:
        """Stop greenlets and close connections. Idempotent."""

    def create_client(self, acknowledges: bool = False, owner: Owner = NOBODY) -> str:
        """A new client, marked seen; returns its id (160 random bits, base 36).

        :param acknowledges: see ``Session.acknowledges``.
        """

    def owner(self, client_id: str) -> Owner:
        """Whose the client is.

        :raises UnknownClient: it does not exist.
        """

    def touch(self, client_id: str, stream_connect: str | None = None) -> bool:
        """Mark the client seen now.

        :param stream_connect: id of a connect whose answer comes by the client's stream, which
            the worker of that stream is told (``EngineEvents.connected``).

        :returns: ``Session.acknowledges``, which never changes.
        :raises UnknownClient: it does not exist.
        """

    def ping(self, client_ids: Collection[str]) -> None:
        """Mark many clients seen now; ids that do not exist are passed over."""

    def subscribe(
        self, client_id: str, channels: Collection[str],
        limits: SubscriptionLimits = NO_LIMITS,
    ) -> list[str]:
        """Subscribe to all ``channels``; messages published from now on count. Idempotent.

        :param limits: how many subscriptions the client may have then, the others included.
        :returns: those not subscribed before.
        :raises UnknownClient: it does not exist; then nothing was subscribed.
        :raises TooMany: they would be more than ``limits`` allow; likewise.
        """

    def unsubscribe(self, client_id: str, channels: Collection[str]) -> list[str]:
        """Undo ``subscribe``. Idempotent.

        :returns: those that were subscribed.
        :raises UnknownClient: it does not exist.
        """

    def publish(self, channel: str, payload: bytes, operation: str) -> int:
        """Append to the log of every matching subscription and notify the workers following it.

        At most once per ``operation``: a repetition within a minute changes nothing and returns
        the same id. Order: messages of one caller to one channel keep theirs. Cost does not
        depend on the number of subscribers.

        :returns: the message's id.
        """

    def publish_soon(
        self, channel: str, payload: bytes, operation: str, done: Published
    ) -> None:
        """``publish`` without waiting.

        Order: messages of one caller to one channel keep theirs, those of ``publish`` included.

        :param done: called once with the message's id or with what ``publish`` would have raised,
            in any greenlet or the hub, perhaps before this returns; must neither wait nor raise.
        """

    def connect(
        self, client_id: str, connect_id: str, stream: bool, acknowledged: int | None = None
    ) -> Session:
        """Take the client's connection over for this worker and mark the client seen.

        A ``connect_id`` after the latest one (see :func:`~faye_redis.engines.ids.precedes`)
        confirms what that was answered with. An equal one asks for the same answer again
        (``Session.repeat_to``), or takes over from a request still held. An empty one is always
        the next.

        :param stream: the connection is a socket that stays, not a poll. It never repeats: what
            was sent and not confirmed is sent again; without a connect id it confirms nothing.
        :param acknowledged: what a client that acknowledges has received: a position that one of
            its connects was answered with. Others are ignored. Such a client's connects confirm
            nothing by themselves, and are never repeated.
        :raises UnknownClient: it does not exist, or the connect id precedes the latest.
        """

    def session(self, client_id: str, epoch: int) -> Session:
        """The client's state again, for a connection made by ``connect``.

        :raises UnknownClient: it does not exist.
        :raises Superseded: ``epoch`` is no longer the newest.
        """

    def answer(
        self, client_id: str, session: Session, connect_id: str, position: int
    ) -> Verdict:
        """Record that the poll ``connect_id`` is answered with everything up to ``position``.

        Only if the connection is still the newest one and the subscriptions are those of
        ``session``; otherwise nothing is written and the reply must not carry messages.
        """

    def save(self, positions: Sequence[Progress]) -> None:
        """Record how far clients are known to have come. Atomic for each, idempotent.

        Ignored unless the epoch is the newest, or is that of a stream whose position is still
        owed. A cursor never moves back, nor past the start of a subscription that the position
        does not hold for.
        """

    def release(self, client_id: str, session: Session, stream: bool) -> int:
        """Find out from the streams of ``session.owed`` how far they have come, and record it.

        Waits 0.8 s at most. For a stream whose worker does not answer, and which follows, it is
        what that worker wrote last, a second before it died at most; what was delivered later
        comes again.

        :param stream: the connection that asks is one.
        :returns: everything up to this position has been delivered.
        """

    def read(self, after: Mapping[str, int], limit: int) -> Batch:
        """Read the logs of channels or patterns, each from its own position (exclusive).

        A log keeps a message as long as a client can come back for it, but ``max_log`` messages at
        most; ``Batch.gap`` tells that one was removed after the position asked for.

        :param limit: messages at most per log; see ``Batch.complete``.
        """

    def has_nothing_new(self, channels: Iterable[str], position: int) -> bool:
        """Is it certain, without asking the store, that ``read`` would find nothing after
        ``position`` but what is yet to be told? Never waits; False if it is not known."""

    def follow(self, channels: Iterable[str]) -> None:
        """Have ``EngineEvents.messages`` told of these channels or patterns. Returns once every
        message published from then on is certain to be told."""

    def unfollow(self, channels: Iterable[str]) -> None:
        """Undo ``follow``."""

    def destroy_client(self, client_id: str, kick: bool = False) -> list[str]:
        """Remove the client and its subscriptions, and tell the worker that holds it.

        :param kick: have ``was_kicked`` know it for ``client_timeout``.
        :returns: the channels it was subscribed to.
        :raises UnknownClient: it does not exist (of several at once, one caller succeeds).
        """

    def forget(self, client_id: str) -> None:
        """Tell all workers that the client, if the store loses its data, must not be put back as
        they remember it (``EngineEvents.forgotten``); only its own connection knows it."""

    def was_kicked(self, client_id: str) -> bool:
        """Was there such a client, which was kicked, not long ago?"""

    def cleanup_expired(self, thorough: bool = True) -> int:
        """Remove every client not seen for ``client_timeout``.

        Safe to run anywhere, any time, in parallel; a client seen meanwhile is never touched.
        Each removed client is reported to ``EngineEvents.expired`` once in the cluster. Removes
        nobody for ``client_timeout`` after the store was out of reach for this worker.

        :param thorough: also look for what half-finished verbs or lost keys left behind; costs
            time in proportion to all subscriptions, not only the expired ones.
        :returns: the number of clients removed by this call.
        """
