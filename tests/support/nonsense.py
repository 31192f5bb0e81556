"""What a server of this package has to say of what is no JSON."""

from __future__ import annotations

import orjson


def no_json(text: bytes | str) -> str:
    """The error by WebSocket; it ends in the words of the parser, which change with its version."""
    try:
        orjson.loads(text)
    except ValueError as problem:
        return f"400::no JSON: {problem}"
    raise AssertionError(f"{text!r} is JSON")
