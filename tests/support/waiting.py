"""Waiting for a condition, in place of fixed sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def eventually(
    predicate: Callable[[], Value], timeout: float = 10, interval: float = 0.01
) -> Value:
    """Call ``predicate`` until it returns something true, and return that.

    :param timeout: seconds; the predicate is called at least once, and once more at the end.
    :param interval: seconds between two calls; other greenlets run meanwhile.
    :raises AssertionError: it was still false after ``timeout``; names its last value.
    """
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() >= deadline
        value = predicate()
        if value:
            return value
        if late:
            raise AssertionError(f"{predicate!r} is still {value!r} after {timeout} s")
        time.sleep(interval)
