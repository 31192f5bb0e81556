"""Extensions: user code that sees every message and may change, refuse or drop it.

The interface is that of Faye's server extensions: an object with a method ``incoming`` (messages
from clients), ``outgoing`` (replies, and messages pushed to clients), or both, that takes
``(message, callback)`` or ``(message, request, callback)`` and calls ``callback(message)``, at
once or later, from any greenlet or thread. ``callback(None)`` drops the message. An ``error`` put
into an incoming message refuses it; later extensions still see it.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ..errors import ConfigurationError
from .errors import error
from .messages import Message

log = logging.getLogger("faye_redis")

CALLBACK_TIMEOUT = 30.0
"""Seconds an extension may take to call back; then it has failed. Faye waits for ever."""


class Event(Protocol):
    """What is used of an event: ``threading.Event`` and gevent's are such."""

    def set(self) -> None:
        """Wake whoever waits; must be callable from wherever extensions call back."""

    def wait(self, timeout: float) -> Any:
        """Wait until ``set``, for at most ``timeout`` seconds."""


class Pipe(NamedTuple):
    """One method of an extension, for one stage."""

    extension: Any
    method: Callable[..., Any]
    wants_request: bool


class Extensions:
    """The extensions of one server, in the order they were added.

    :param event_factory: makes the event on which a late callback is waited for.
    :param host: what ``extension.added`` and ``extension.removed`` are called with.
    """

    def __init__(self, event_factory: Callable[[], Event], host: Any = None) -> None:
        self._event_factory = event_factory
        self._host = host
        self.incoming: tuple[Pipe, ...] = ()
        """Empty means: nothing to run; the same for ``outgoing``. Replaced, never changed, so
        that a run under way is not disturbed."""
        self.outgoing: tuple[Pipe, ...] = ()
        self._all: tuple[Any, ...] = ()

    def has(self, stage: str) -> bool:
        """True if ``run(stage, ...)`` would do anything."""
        return bool(getattr(self, stage))

    def add(self, extension: Any) -> None:
        """Append an extension and call its ``added(host)``, if it has one.

        :raises ConfigurationError: a method does not take two or three arguments.
        """
        pipes = {stage: _pipe(extension, stage) for stage in ("incoming", "outgoing")}
        for stage, pipe in pipes.items():
            if pipe is not None:
                setattr(self, stage, (*getattr(self, stage), pipe))
        self._all = (*self._all, extension)
        if hasattr(extension, "added"):
            extension.added(self._host)

    def remove(self, extension: Any) -> None:
        """Remove an extension and call its ``removed(host)``; nothing happens if it is not there.

        Messages on their way through it still pass it.
        """
        if not any(known is extension for known in self._all):
            return
        self._all = tuple(known for known in self._all if known is not extension)
        self.incoming = tuple(p for p in self.incoming if p.extension is not extension)
        self.outgoing = tuple(p for p in self.outgoing if p.extension is not extension)
        if hasattr(extension, "removed"):
            extension.removed(self._host)

    def run(self, stage: str, message: Message, request: Any) -> Message | None:
        """Pass ``message`` through all extensions with that stage; blocks while they do.

        An extension that raises, does not call back in time or calls back with something else
        than a message is logged, and its message carries error 500 from there on.

        :param stage: "incoming" or "outgoing".
        :param request: the WSGI environ, or what returns it; None in process.
        :returns: the message as the last one left it; None if one dropped it.
        """
        for pipe in getattr(self, stage):
            piped = self._pass(pipe, message, request)
            if piped is None:
                return None
            message = piped
        return message

    def _pass(self, pipe: Pipe, message: Message, request: Any) -> Message | None:
        callback = _Callback(self._event_factory)
        environ = request() if callable(request) else request
        arguments = (message, environ, callback) if pipe.wants_request else (message, callback)
        try:
            pipe.method(*arguments)
            return callback.result()
        except Exception:
            log.exception("extension %s failed", type(pipe.extension).__qualname__)
            return _failed(message)


def _pipe(extension: Any, stage: str) -> Pipe | None:
    method = getattr(extension, stage, None)
    if method is None:
        return None
    try:
        signature = inspect.signature(method)
        wanted = [p for p in signature.parameters.values() if p.kind in
                  (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
        signature.bind(*[None] * (3 if len(wanted) > 2 else 2))
    except (TypeError, ValueError) as problem:
        rule = "must take (message, callback) or (message, request, callback)"
        raise ConfigurationError("extensions", f"{stage} of {extension!r} {rule}") from problem
    return Pipe(extension, method, wants_request=len(wanted) > 2)


def _failed(message: Message) -> Message:
    message = {**message, "error": error(500)}
    if "successful" in message:
        message["successful"] = False
    return message


class _Callback:
    """What an extension calls with its result; only the first call counts."""

    __slots__ = ("_called", "_event", "_event_factory", "_message")

    def __init__(self, event_factory: Callable[[], Event]) -> None:
        self._event_factory = event_factory
        self._event: Event | None = None
        self._called = False
        self._message: Any = None

    def __call__(self, message: Message | None = None) -> None:
        if self._called:
            return
        # In this order: `result` sets the event before it looks whether it was called.
        self._message = message
        self._called = True
        if self._event is not None:
            self._event.set()

    def result(self) -> Message | None:
        if not self._called:
            self._event = self._event_factory()
            if not self._called:
                self._event.wait(CALLBACK_TIMEOUT)
        if not self._called:
            raise TimeoutError(f"no callback within {CALLBACK_TIMEOUT:g} s")
        if self._message is not None and not isinstance(self._message, dict):
            kind = type(self._message).__name__
            raise TypeError(f"called back with {kind}, neither a message nor None")
        return self._message
