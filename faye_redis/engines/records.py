"""What engines take and return: messages, sessions, positions. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ..bayeux.limits import SubscriptionLimits

NO_LIMITS = SubscriptionLimits()


class Message(NamedTuple):
    """One published message as it is stored and passed to workers."""

    id: int
    """Position in the order of all messages (microseconds, unique, increasing)."""
    channel: str
    """The channel it was published to; never a pattern."""
    payload: bytes
    """The Bayeux message as clients receive it: a JSON object in UTF-8."""


class Owner(NamedTuple):
    """Whose a client is, as its handshake said; it never changes."""

    user: str = ""
    """Name of the user; "" if none was named."""
    binding: str = ""
    """Digest of what its requests have to show; "" if that is nothing."""


NOBODY = Owner()


class Owed(NamedTuple):
    """A stream that may have delivered more to the client than the cursor says."""

    server_id: str
    """Its worker."""
    epoch: int
    follows: bool
    """The position that this worker writes for all its streams holds for this one as well."""
    reachable: bool
    """Its worker was told, or is this one. A worker that nobody reaches is dead or cut off."""


@dataclass(slots=True)
class Session:
    """What ``connect`` found out about a client, read in one atomic step."""

    epoch: int
    """Number of this connection; a later connect of the same client has a higher one."""
    version: int
    """Version of the subscriptions; every change raises it."""
    cursor: int
    """Everything up to this message id is confirmed as received."""
    subscriptions: dict[str, int]
    """Channel or pattern -> message id from which (exclusive) it counts."""
    acknowledges: bool = False
    """The client says itself what it has received (``ext.ack``); nothing else confirms."""
    repeat_to: int | None = None
    """Set when this connect id has been answered before: repeat exactly (cursor, repeat_to]."""
    owed: tuple[Owed, ...] = ()
    """Streams that only their workers know the position of: ask with ``Engine.release``."""
    owner: Owner = NOBODY


class Batch(NamedTuple):
    """Result of ``read``: messages in order of id, each once, and how far they reach."""

    messages: list[Message]
    position: int
    """Everything up to this id, for the channels asked for, is in ``messages``."""
    complete: bool
    """False if a limit cut the answer short: read on from ``position``."""
    gap: bool
    """Messages after a position that was asked for are no longer in its log."""


class Verdict(Enum):
    """Result of ``answer``: may the reply go out?"""

    RECORDED = "recorded"
    """Yes; it is now the one answer of its connect id."""
    CHANGED = "changed"
    """No: the subscriptions changed meanwhile; read again."""
    REPLACED = "replaced"
    """No: a newer connect took over; complete this one empty."""
    REPEATED = "repeated"
    """No: the same connect id was sent again; that request gets the answer."""
    GONE = "gone"
    """No: the client has left or expired."""


class Standing(Enum):
    """What a position that is saved says about its connection."""

    OWN = "own"
    """A stream; if its worker dies, its client goes on from this position."""
    FOLLOWS = "follows"
    """A stream; if its worker dies, what ``EngineEvents.delivered`` said last counts as well."""
    ENDED = "ended"
    """A stream that gets no more."""
    TAKEN = "taken"
    """A poll, which has taken over from streams that could not be asked."""


class Progress(NamedTuple):
    """How far a client is known to have come."""

    client_id: str
    epoch: int
    version: int
    """The subscriptions for which the position holds."""
    position: int
    standing: Standing


class Snapshot(NamedTuple):
    """A client as a worker remembers it, to be put back into a store that has lost its data."""

    client_id: str
    epoch: int
    version: int
    cursor: int
    subscriptions: Mapping[str, int]
    connect_id: str
    sent: int | None
    """Position that the latest connect id was answered with."""
    stream: bool
    """Its connection is a stream, whose position is ``cursor``."""
    open: bool
    """The connection is still open."""
    acknowledges: bool
    owner: Owner
