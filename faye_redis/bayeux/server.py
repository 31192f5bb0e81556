"""The six verbs of Bayeux: one incoming message in, its encoded replies out.

Fields, codes, texts and which error wins are those of Faye's server. Where Faye tests one thing
after another and lets the last failure win, a verb here tests in the opposite order and stops at
the first failure, so that the store is only asked when nothing else is wrong. "preset" is the
error that an extension put into the message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeGuard

from ..engines.base import Engine, Owner
from ..errors import EngineError, Superseded, TooMany, UnknownClient
from . import acknowledgement, advice, channels
from .authorization import Authorization
from .errors import MESSAGE_DELETED, error
from .exchange import Exchange, Refused, Request, refuse_preset, required
from .exchange import client_id as client_id_of
from .extensions import Extensions
from .grammar import is_client_id, is_message_id
from .limits import Limits, SubscriptionLimits
from .messages import Message, encode, present, refusal, success, without_verdict
from .monitoring import Monitor
from .outgoing import Outgoing
from .pending import PendingReply
from .publishing import Publishing
from .sessions import Sessions

if TYPE_CHECKING:
    from ..settings import Settings

BAYEUX_VERSION = "1.0"
CONNECTION_TYPES = ("long-polling", "cross-origin-long-polling", "callback-polling",
                    "websocket", "eventsource", "in-process")

log = logging.getLogger("faye_redis")


NO_OBJECT = {"successful": False, "error": error(400)}
"""The reply to a member of a batch that is no object."""

_UNLIMITED = SubscriptionLimits()


class Link(Protocol):
    """How one transport serves one connection."""

    def admit(self, client_id: object) -> bool:
        """May one more message come now, by ``max_message_rate``?

        :param client_id: as the message says it.
        """

    def connect(self, pending: PendingReply) -> list[bytes]:
        """Poll: wait, then return ``pending.finish(messages)``. Socket: take the client over,
        return nothing and send ``pending.finish()`` later.

        :raises UnknownClient: the client does not exist.
        :raises Superseded: a newer request of the client took over; no reply must be sent.
        """

    def disconnected(self, client_id: str) -> None:
        """The client has left; called once its reply has been made."""


Verb = Callable[[Exchange], list[bytes]]


class BayeuxServer:
    """Speaks Bayeux on behalf of one engine. Holds no state of clients; any thread may call.

    :param settings: uses timeout, interval, policy, require_client_id, and the limits on
        channels, subscriptions and handshakes.
    :param failures: what user code may raise; a timeout may be none of Exception.
    """

    def __init__(
        self, engine: Engine, settings: Settings, extensions: Extensions, monitor: Monitor,
        sessions: Sessions, failures: tuple[type[BaseException], ...] = (Exception,),
    ) -> None:
        self._engine = engine
        self._failures = failures
        self._settings = settings
        self._limits = Limits(settings, monotonic)
        self._extensions = extensions
        self._monitor = monitor
        self._sessions = sessions
        self._authorization = Authorization(settings, sessions)
        outgoing = Outgoing(extensions)
        self.send, self.deliver = outgoing.send, outgoing.deliver
        self._publishing = Publishing(
            engine, self._limits, self._authorization, monitor, self.send)
        self.services = self._publishing.services
        self._verbs: dict[str, Verb] = {
            channels.HANDSHAKE: self._handshake,
            channels.CONNECT: self._connect,
            channels.DISCONNECT: self._disconnect,
            channels.SUBSCRIBE: self._subscribe,
            channels.UNSUBSCRIBE: self._unsubscribe,
        }

    def process(self, message: Any, request: Request | None, link: Link) -> list[bytes]:
        """Carry out one message; return its encoded replies, in the order to be sent. What is no
        message is answered with an error, too.

        A failure of any kind becomes an error reply, so that the rest of a batch goes on. There
        is no reply only if ``link`` will send it later.

        :param request: the WSGI environ it came with; None means in process, which is trusted
            with meta and service channels.
        :raises Superseded: a newer request of the client took over; answer this one with nothing.
        """
        if not isinstance(message, dict):
            if self._settings.max_message_rate:
                link.admit(None)  # counts as one
            return [encode(NO_OBJECT)]
        if request is not None:
            message = without_verdict(message)
        exchange = Exchange(message, success(message), request, link)
        return self.carry_out(exchange, self._begin)

    def _begin(self, exchange: Exchange) -> list[bytes]:
        self._check(exchange)
        if not self._extensions.incoming:
            return self._verb(exchange.message.get("channel"))(exchange)
        message, request = exchange.message, exchange.request
        piped = self._extensions.run("incoming", message, request)
        if piped is None:
            return [encode(refusal(message, MESSAGE_DELETED))]
        return self.carry_out(
            Exchange(piped, success(piped), request, exchange.link), self._go_on)

    def _go_on(self, exchange: Exchange) -> list[bytes]:
        self._check_owner(exchange)  # an extension may have changed who it is from
        return self._verb(exchange.message.get("channel"))(exchange)

    def _check_owner(self, exchange: Exchange) -> None:
        if exchange.request is not None:
            self.check_owner(exchange.message.get("clientId"), exchange.request)

    def check_owner(self, client_id: object, request: Request) -> None:
        """:raises UnknownClient: the client is bound to somebody else than who asks."""
        if self._sessions.binds:
            self._sessions.check(client_id, request)

    def forget_owners(self) -> None:
        """Ask the engine again whose a client is, of any: some have been removed."""
        self._sessions.forget()

    def _check(self, exchange: Exchange) -> None:
        """What has to be right before anything looks at what the message says.

        :raises Refused: its id, or that it comes too soon.
        :raises UnknownClient: it is from somebody else's client.
        """
        if not is_message_id(exchange.message.get("id")):
            exchange.reply.pop("id", None)
            raise Refused(error(400, "id"))
        self._check_owner(exchange)  # before the owner's rate is charged
        if self._settings.max_message_rate and not self._admits(exchange):
            raise Refused(self._limits.error("max_message_rate"))

    def _admits(self, exchange: Exchange) -> bool:
        """Connects come as often as there are messages; handshakes have a rate of their own."""
        if exchange.message.get("channel") in (channels.CONNECT, channels.HANDSHAKE):
            return True
        return exchange.link.admit(exchange.message.get("clientId"))

    def knows(self, client_id: object) -> TypeGuard[str]:
        """Is there such a client? Asks the engine about those that this worker has not seen."""
        return self._sessions.owner(client_id) is not None

    @property
    def changes_outgoing(self) -> bool:
        """True if there are outgoing extensions: ``deliver`` and ``send`` may wait for them."""
        return bool(self._extensions.outgoing)

    def carry_out(self, exchange: Exchange, verb: Verb) -> list[bytes]:
        """What ``verb`` answers; a failure of any kind becomes an error reply.

        :raises Superseded: a newer request of the client took over.
        """
        channel = exchange.message.get("channel")
        try:
            return verb(exchange)
        except Superseded:
            raise
        except Refused as refused:
            return self._fail(exchange, refused.error, refused.reconnect)
        except UnknownClient:
            return self._unknown(exchange)
        except TooMany as refused:
            return self._fail(exchange, self._limits.error(refused.option))
        except EngineError as problem:
            log.error("%s failed: %s", channel, problem)
        except self._failures:
            log.exception("%s failed", channel)
        return self._fail(exchange, error(500), "retry")

    def _verb(self, channel: Any) -> Verb:
        if not isinstance(channel, str):
            return self._publishing.carry_out
        known = self._verbs.get(channel)
        if known is None:
            known = self._forbidden if channels.is_meta(channel) else self._publishing.carry_out
        return known

    def _unknown(self, exchange: Exchange) -> list[bytes]:
        """A client that was kicked hears that it need not come back; all others start anew."""
        client_id = exchange.message.get("clientId")
        connects = exchange.message.get("channel") == channels.CONNECT
        kicked = connects and self._was_kicked(client_id)
        return self._fail(exchange, error(401, client_id), "none" if kicked else "handshake")

    def _was_kicked(self, client_id: object) -> bool:
        try:
            return is_client_id(client_id) and self._engine.was_kicked(client_id)
        except EngineError:
            return False

    def _fail(self, exchange: Exchange, failure: Any, reconnect: str = "handshake") -> list[bytes]:
        reply, channel = exchange.reply, exchange.message.get("channel")
        reply["successful"] = False
        reply["error"] = failure
        if channel in (channels.CONNECT, channels.DISCONNECT):
            reply.pop("clientId", None)
        if channel in (channels.HANDSHAKE, channels.CONNECT):
            reply["advice"] = advice.failure(reconnect, self._settings.interval)
        return self.send(reply, exchange.request)

    def _handshake(self, exchange: Exchange) -> list[bytes]:
        """Bayeux, "Handshake Request": MUST contain version, supportedConnectionTypes; MAY
        contain minimumVersion, ext, id.

        Refused for, in this order: 402 types, 301, 402 version, 400 version, preset, 429, 403.
        """
        message, reply = exchange.message, exchange.reply
        reply["version"] = BAYEUX_VERSION
        reply["supportedConnectionTypes"] = list(CONNECTION_TYPES)
        offered = required(message, "supportedConnectionTypes")
        if not isinstance(offered, list) or not any(name in CONNECTION_TYPES for name in offered):
            raise Refused(error(301, offered))
        version = required(message, "version")
        if not isinstance(version, str | int | float) or version is True:
            raise Refused(error(400, "version"))
        refuse_preset(message)
        if exchange.request is not None and not self._limits.admit_handshake():
            raise Refused(self._limits.error("max_handshake_rate"))
        owner = Owner(self._authorization.handshake(exchange), self._binding(exchange.request))
        acknowledges = acknowledgement.is_wanted(message)
        reply["clientId"] = client_id = self._engine.create_client(acknowledges, owner)
        if acknowledges:
            reply["ext"] = {"ack": True}
        reply["advice"] = self._advice(message)
        self._monitor.trigger("handshake", client_id)
        return self.send(reply, exchange.request)

    def _binding(self, request: Request | None) -> str:
        return "" if request is None else self._sessions.binding(request)

    def _connect(self, exchange: Exchange) -> list[bytes]:
        """Bayeux, "Connect Request": MUST contain clientId, connectionType; MAY contain ext, id.

        Refused for, in this order: 402 connectionType, 301, 402 clientId, 401, preset. An
        EventSource client is answered at once: its messages come by the stream.
        """
        message = exchange.message
        connection_type = required(message, "connectionType")
        if connection_type not in CONNECTION_TYPES:
            raise Refused(error(301, connection_type))
        client_id = client_id_of(message)
        self._refuse_known(client_id, message.get("error"))
        exchange.reply["advice"] = self._advice(message)
        hold = advice.hold(message.get("advice"), self._settings.timeout)
        pending = PendingReply(self, exchange, hold)
        if connection_type == "eventsource":
            self._engine.touch(client_id, pending.connect_id)
            return pending.finish()
        return exchange.link.connect(pending)

    def _disconnect(self, exchange: Exchange) -> list[bytes]:
        """Bayeux, "Disconnect Request": MUST contain clientId; MAY contain ext, id.

        Refused for, in this order: 402, 401, preset.
        """
        client_id = client_id_of(exchange.message)
        self._refuse_known(client_id, exchange.message.get("error"))
        self._monitor.departed(client_id, self._engine.destroy_client(client_id))
        replies = self.send(exchange.reply, exchange.request)
        exchange.link.disconnected(client_id)
        return replies

    def _subscribe(self, exchange: Exchange) -> list[bytes]:
        """Bayeux, "Subscribe Request"; see ``_change``."""
        limits = self._limits.subscriptions if exchange.request is not None else _UNLIMITED
        return self._change(
            exchange, "subscribe", partial(self._engine.subscribe, limits=limits))

    def _unsubscribe(self, exchange: Exchange) -> list[bytes]:
        """Bayeux, "Unsubscribe Request"; see ``_change``."""
        return self._change(exchange, "unsubscribe", self._engine.unsubscribe)

    def _change(
        self, exchange: Exchange, event: str, change: Callable[[str, Collection[str]], list[str]]
    ) -> list[bytes]:
        """MUST contain clientId, subscription (a channel, a pattern, or a list of them); MAY
        contain ext, id. All channels of the list are changed, or none; Faye changes those before
        the first that it refuses.

        Refused for, in this order: 402 subscription, 402 clientId, 401, preset, 409 for the list
        alone, for the first channel that is wrong 405 or 403, for the first that the policy does
        not allow 403, 409 with those there are.
        """
        message, reply = exchange.message, exchange.reply
        reply["subscription"] = []
        reply["subscription"] = subscription = required(message, "subscription")
        client_id = client_id_of(message)
        names = subscription if isinstance(subscription, list) else [subscription]
        objection = message.get("error") or self._limits.objection(
            names, exchange.request is not None)
        self._refuse_known(client_id, objection)
        if event == "subscribe":
            self._authorization.subscribe(exchange, client_id, dict.fromkeys(names))
        if names:
            for name in change(client_id, list(dict.fromkeys(names))):
                self._monitor.trigger(event, client_id, name)
        else:
            self._engine.touch(client_id)
        return self.send(reply, exchange.request)

    # Publishing without waiting

    def can_publish_soon(self, batch: Sequence[Message]) -> bool:
        """Are all of these publishes, with no user code to run and nobody to ask first?"""
        user_code = self._extensions.incoming or self._extensions.outgoing
        return not user_code and self._publishing.asks_nobody and all(
            isinstance(message, dict) and not str(message.get("channel")).startswith("/meta")
            for message in batch)

    def publish_soon(
        self, message: Message, request: Request | None, link: Link,
        done: Callable[[list[bytes]], None],
    ) -> None:
        """``process`` for what ``can_publish_soon``; does not wait.

        :param done: gets the encoded replies, perhaps before this returns; must neither wait nor
            raise.
        """
        message = without_verdict(message)
        exchange = Exchange(message, success(message), request, link)

        def stored(result: int | EngineError) -> None:
            done(self.carry_out(exchange, lambda _: self._publishing.finish(exchange, result)))

        def begin(_: Exchange) -> list[bytes]:
            self._check(exchange)
            self._publishing.begin(exchange, stored)
            return []
        if failed := self.carry_out(exchange, begin):
            done(failed)

    def _forbidden(self, exchange: Exchange) -> NoReturn:
        """Bayeux 2.2.2: there are five meta channels, and nothing is published to any."""
        raise Refused(error(403, exchange.message["channel"]))

    def _refuse_known(self, client_id: str, objection: Any) -> None:
        """Refuse if there is an objection; but an unknown client is told that it is unknown."""
        if present(objection):
            self._engine.touch(client_id)
            raise Refused(objection)

    def _advice(self, message: Message) -> dict[str, Any]:
        settings = self._settings
        return advice.success(message.get("connectionType"), settings.timeout, settings.interval)
