"""Serving polls: those of the polling transports, and the connects of clients that acknowledge,
which are served likewise when they come by a WebSocket."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..concurrency import monotonic, spawn
from ..engines.base import Engine, Message, Verdict
from ..errors import EngineUnavailable, Superseded
from .catchup import CatchUp
from .poll import Poll
from .recovery import Recovery
from .subscriber import Stream

if TYPE_CHECKING:
    from ..bayeux.pending import PendingReply
    from ..settings import Settings


class Polls:
    """Waits for messages and makes answers of them.

    :param enter: makes a poll the connection of its client.
    :param drop: undoes that.
    """

    def __init__(
        self, engine: Engine, settings: Settings, catch_up: CatchUp, recovery: Recovery,
        enter: Callable[[Poll], None], drop: Callable[[Poll], None],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._catch_up = catch_up
        self._recovery = recovery
        self._enter = enter
        self._drop = drop
        self._by_stream: dict[Stream, set[Poll]] = {}
        self.draining = False
        """Nothing is held any more."""

    def serve(
        self, poll: Poll, pending: PendingReply, hold: bool, sock: socket.socket | None
    ) -> list[bytes]:
        """See ``Connections.poll``."""
        deadline = monotonic() + (pending.hold if hold else 0)
        try:
            self._enter(poll)
            messages = self._await_answer(poll, deadline, sock)
        except EngineUnavailable:
            self._recovery.remember(poll)
            raise
        finally:
            self._drop(poll)
        if poll.kicked:
            pending.dismiss()
        elif self.draining:
            pending.spread(self._settings.drain_jitter)
        if poll.session.acknowledges and poll.answered_to is not None:
            pending.ask_for_acknowledgement(poll.answered_to)
        return pending.finish([message.payload for message in messages])

    def _await_answer(
        self, poll: Poll, deadline: float, sock: socket.socket | None
    ) -> list[Message]:
        while True:
            self._catch_up.run(poll)
            while poll.is_waiting and not self.draining and monotonic() < deadline:
                poll.wait(deadline - monotonic(), sock)
            if poll.abandoned:
                raise Superseded("the peer has closed its socket")
            messages, position = poll.take(self._settings.max_message_size)
            verdict = self._record(poll, messages, position)
            if verdict is Verdict.CHANGED:
                poll.newest_version = max(poll.newest_version, poll.session.version + 1)
            elif verdict is Verdict.REPEATED:
                raise Superseded("the request was sent again")
            elif verdict is Verdict.RECORDED:
                poll.answered_to = position
                self._recovery.remember(poll)
                return messages
            else:
                return []

    def _record(self, poll: Poll, messages: list[Message], position: int) -> Verdict:
        """Without an answer of the engine nobody knows whether the messages count as sent. No reply
        at all has the client send the same connect again, and get them."""
        try:
            return self._engine.answer(poll.client_id, poll.session, poll.connect_id, position)
        except EngineUnavailable as error:
            if not messages or poll.session.acknowledges:
                raise
            self._recovery.remember(poll)
            raise Superseded(f"not recorded: {error}") from None

    # By a stream

    def begin(self, stream: Stream, pending: PendingReply) -> None:
        """Serve a connect that came by ``stream``, in a greenlet of its own, so that the stream
        can say more meanwhile. Reply and messages go out in one piece."""
        poll = Poll(pending.client_id, pending.connect_id, pending.acknowledged)
        self._by_stream.setdefault(stream, set()).add(poll)
        spawn(self._run, stream, poll, pending)

    def closed(self, stream: Stream) -> None:
        """Nobody would read the answers to come by this stream."""
        for poll in self._by_stream.pop(stream, ()):
            poll.abandon()

    def _run(self, stream: Stream, poll: Poll, pending: PendingReply) -> None:
        try:
            if not poll.abandoned:
                stream.reply(pending.serve(lambda: self.serve(poll, pending, True, None)))
        except Superseded:
            return  # a newer connect of the client gets the answer
        finally:
            self._forget(stream, poll)
        if poll.is_last:
            stream.close(1000, "")

    def _forget(self, stream: Stream, poll: Poll) -> None:
        polls = self._by_stream.get(stream, set())
        polls.discard(poll)
        if not polls:
            self._by_stream.pop(stream, None)
