"""Calls that are repeated when the connection fails."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from redis.exceptions import ConnectionError, NoScriptError, TimeoutError
from redis.retry import Retry

from ...concurrency import deadline
from ...errors import EngineUnavailable
from ...settings import EngineSettings
from .client import Window
from .failures import translated


class _HasSettings(Protocol):
    _settings: EngineSettings


Self = TypeVar("Self", bound=_HasSettings)
Params = ParamSpec("Params")
Result = TypeVar("Result")


def retried(
    method: Callable[Concatenate[Self, Params], Result]
) -> Callable[Concatenate[Self, Params], Result]:
    """Declares a method safe to repeat: it only reads, or doing it twice is doing it once.

    When the connection fails it is called again, up to ``max_retries`` times, after growing random
    pauses, as long as another attempt still fits into ``operation_timeout``; and once at once if a
    pipeline found its scripts gone, which were there when it looked. Its object has ``_settings``.
    Errors are those of :class:`translated`. However many others wait for a connection, it ends
    within ``operation_timeout``.
    """
    @wraps(method)
    def call(self: Self, /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        def attempt() -> Result:
            try:
                return method(self, *args, **kwargs)
            except NoScriptError:
                return method(self, *args, **kwargs)
        window = Window(self._settings)
        retry = Retry(window, self._settings.max_retries, (ConnectionError, TimeoutError))
        try:
            with translated(), deadline(self._settings.operation_timeout):
                return retry.call_with_retry(attempt, lambda error: None, window.allows)
        except builtins.TimeoutError:
            raise EngineUnavailable("no answer from Redis within operation_timeout") from None
    return call
