"""What is wrong, and what a log tells of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_log = logging.getLogger("faye_redis")


class Finding(AssertionError):
    """The code did something that is not documented."""


def expect(condition: object, *what: Any) -> None:
    """:raises Finding: ``condition`` is false; shows ``what``."""
    if not condition:
        raise Finding(*what)


class _Errors(logging.Handler):
    """Formats every record, as a handler of an application would, and keeps the errors."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            self.found.append((text, record.exc_info and record.exc_info[1]))


@contextmanager
def no_error_logged() -> Iterator[None]:
    """:raises Finding: the package logged an error, as it does for a failure it did not expect."""
    errors, level = _Errors(), _log.level
    _log.addHandler(errors)
    _log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        _log.removeHandler(errors)
        _log.setLevel(level)
    expect(not errors.found, "logged", errors.found)
