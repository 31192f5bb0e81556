"""What a test needs beyond Python: skipped at home when it is missing, failed in CI."""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

Found = TypeVar("Found")


def require(found: Found | None, reason: str) -> Found:
    """Return ``found``, or end the test with ``reason`` when it is false or None.

    In CI (environment variable ``CI`` set) the test fails, so that no set-up mistake there
    can hide a test; elsewhere it is skipped.
    """
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
