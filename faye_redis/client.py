"""The in-process client: publish and subscribe from the application that hosts the server."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from .bayeux.channels import DISCONNECT, HANDSHAKE, SUBSCRIBE, UNSUBSCRIBE, expand
from .bayeux.errors import MESSAGE_DELETED
from .bayeux.errors import error as bayeux_error
from .bayeux.extensions import Extensions
from .bayeux.messages import present
from .concurrency import Event, RLock, Timeout, sleep, spawn
from .errors import EngineError, PublishError, SubscriptionError

if TYPE_CHECKING:
    from .bayeux.exchange import Request
    from .bayeux.pending import PendingReply
    from .bayeux.server import BayeuxServer
    from .connections import Connections
    from .engines.base import Message

log = logging.getLogger("faye_redis.client")

_MOST_WAITING = 10_000  # messages not yet given to callbacks; the rest waits in the engine
_RETRY_SECONDS = 1.0

Callback = Callable[[Any], object]
ChannelCallback = Callable[[str, Any], object]


class Subscription:
    """What ``Client.subscribe`` returns."""

    def __init__(self, client: Client, channel: str, callback: Callback | None) -> None:
        self._client = client
        self.channel = channel
        self.callback = callback
        self._channel_callback: ChannelCallback | None = None

    def with_channel(self, callback: ChannelCallback) -> Subscription:
        """Have ``callback(channel, data)`` called, too: of a pattern one wants to know which
        channel it was. Returns this subscription."""
        self._channel_callback = callback
        return self

    def deliver(self, channel: str, data: Any) -> None:
        """For the client. What a callback raises is logged."""
        self._call(self.callback, data)
        self._call(self._channel_callback, channel, data)

    def _call(self, callback: Callable[..., object] | None, *args: Any) -> None:
        if callback is None:
            return
        try:
            callback(*args)
        except (Exception, Timeout):
            log.exception("callback of a subscription to %s failed", self.channel)

    def cancel(self) -> None:
        """Stop calling the callback. Idempotent."""
        self._client.cancel(self)


class Client:
    """A Bayeux client without a network. It is trusted: extensions see its messages with no
    request, and it may use ``/service`` channels.

    Delivery is as for any other client: what is published on any worker arrives once, in order of
    publisher and channel. Callbacks run one at a time in a greenlet of this client.

    :param start: starts the server if it is not running yet.
    """

    def __init__(
        self, server: BayeuxServer, connections: Connections, start: Callable[[], None]
    ) -> None:
        self._server = server
        self._connections = connections
        self._start = start
        self._lock = RLock()
        self._client_id: str | None = None
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._inbox: deque[bytes] = deque()
        self._reading = False
        self._extensions = Extensions(Event, self)
        self.request: Request | None = None
        """No request: what this client sends is trusted."""

    # For the application

    def publish(self, channel: str, data: Any) -> None:
        """Publish ``data`` (anything that is JSON). When it returns, the engine has the message.

        :raises PublishError: it was refused or could not be stored; the text is a Bayeux error.
        """
        self._start()
        try:
            orjson.dumps(data)
        except TypeError as error:
            raise PublishError(f"400::data is no JSON: {error}") from None
        self._send({"channel": channel, "data": data}, PublishError)

    def subscribe(self, channel: str, callback: Callback | None = None) -> Subscription:
        """Call ``callback(data)`` with every message published to a channel or pattern from now
        on. See also ``Subscription.with_channel``.

        :raises SubscriptionError: it was refused; the text is a Bayeux error.
        """
        self._start()
        with self._lock:
            if channel not in self._subscriptions:
                self._ensure_client()
                self._meta(SUBSCRIBE, subscription=channel)
            subscription = Subscription(self, channel, callback)
            self._subscriptions.setdefault(channel, []).append(subscription)
        return subscription

    def unsubscribe(self, channel: str) -> None:
        """Cancel all subscriptions of a channel or pattern. Idempotent."""
        for subscription in list(self._subscriptions.get(channel, ())):
            self.cancel(subscription)

    def cancel(self, subscription: Subscription) -> None:
        """Cancel one subscription. Idempotent."""
        with self._lock:
            known = self._subscriptions.get(subscription.channel, [])
            if subscription in known:
                known.remove(subscription)
            if not known and self._subscriptions.pop(subscription.channel, None) is not None:
                self._meta(UNSUBSCRIBE, subscription=subscription.channel)

    def disconnect(self) -> None:
        """Leave; a client that the engine cannot be told of expires. A later ``subscribe``
        begins anew. Idempotent."""
        with self._lock:
            self._subscriptions.clear()
            if self._client_id:
                self._connections.closed(self)
                with suppress(SubscriptionError):
                    self._meta(DISCONNECT)
                self._client_id = None

    def add_extension(self, extension: Any) -> None:
        """Have what this client sends pass through ``extension.outgoing``, and replies and
        messages through ``extension.incoming``, as in Faye's client: seen from here, so the other
        way round than extensions of the server, which are passed through besides.

        What is dropped is not sent, or not given to callbacks; dropping what was sent, or its
        reply, raises ``404::message_deleted``. A message on which an extension fails is dropped.

        :raises ConfigurationError: a method does not take two or three arguments.
        """
        self._extensions.add(extension)

    def remove_extension(self, extension: Any) -> None:
        """Undo ``add_extension``; nothing if it was not added."""
        self._extensions.remove(extension)

    def _ensure_client(self) -> None:
        if self._client_id is None:
            reply = self._meta(
                HANDSHAKE, version="1.0", supportedConnectionTypes=["in-process"]
            )
            try:
                self._connections.open(reply["clientId"], self)
            except EngineError as problem:
                raise SubscriptionError(bayeux_error(500)) from problem
            self._client_id = reply["clientId"]

    def _meta(self, channel: str, **fields: Any) -> dict[str, Any]:
        if self._client_id:
            fields["clientId"] = self._client_id
        return self._send({"channel": channel, **fields}, SubscriptionError)

    def _send(
        self, message: dict[str, Any], refusal: type[PublishError] | type[SubscriptionError]
    ) -> dict[str, Any]:
        sent = self._extensions.run("outgoing", message, None)
        if sent is None:
            raise refusal(MESSAGE_DELETED)
        answer = orjson.loads(self._server.process(sent, None, self)[0])
        reply = self._extensions.run("incoming", answer, None)
        if reply is None:
            raise refusal(MESSAGE_DELETED)
        if not reply.get("successful"):
            raise refusal(reply.get("error", bayeux_error(500)))
        return reply

    # For the server: how this transport serves connects (Link), and where messages go (Stream)

    def admit(self, client_id: object) -> bool:
        return True

    def connect(self, pending: PendingReply) -> list[bytes]:
        """This client needs no connects; an extension may still send one."""
        return pending.finish()

    def disconnected(self, client_id: str) -> None:
        """Nothing to close."""

    confirms = True

    def checkpoint(self, done: Callable[[], None]) -> None:
        done()

    def push(self, messages: list[Message], version: int) -> bool:
        self._inbox.extend(message.payload for message in messages)
        if not self._reading:
            self._reading = True
            spawn(self._read)
        return len(self._inbox) < _MOST_WAITING

    def reply(self, items: list[bytes]) -> None:
        """No connect is ever held."""

    def close(self, code: int, reason: str) -> None:
        """The engine has lost or removed the client: subscribe again as a new one."""
        spawn(self._come_back)

    def _come_back(self) -> None:
        with self._lock:
            self._connections.closed(self)
            self._client_id = None
        while not self._subscribe_again():
            sleep(_RETRY_SECONDS)

    def _subscribe_again(self) -> bool:
        with self._lock:
            try:
                if self._subscriptions:
                    self._ensure_client()
                    self._meta(SUBSCRIBE, subscription=list(self._subscriptions))
            except SubscriptionError as problem:
                log.warning("the in-process client is not back yet, trying on: %s", problem)
                return False
        return True

    def _read(self) -> None:
        full = False
        while self._inbox:
            full = full or len(self._inbox) >= _MOST_WAITING
            try:
                self._hear(orjson.loads(self._inbox.popleft()))
            except (Exception, Timeout):
                log.exception("an extension has made a message unusable")
        self._reading = False
        if full:
            self._connections.drained(self)

    def _hear(self, message: dict[str, Any]) -> None:
        heard = self._extensions.run("incoming", message, None)
        if heard is None or present(heard.get("error")):
            return
        channel, data = heard["channel"], heard["data"]
        for name in expand(channel):
            for subscription in list(self._subscriptions.get(name, ())):
                subscription.deliver(channel, data)
