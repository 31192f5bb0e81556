"""The request that the messages of a remote client come with."""

from __future__ import annotations

from typing import Any

REMOTE: dict[str, Any] = {"REMOTE_ADDR": "192.0.2.1"}
