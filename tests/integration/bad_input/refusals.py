"""The form of every refusal, by HTTP and by WebSocket."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from carriers import Refusal

PHRASES = {400: "Bad request", 403: "Forbidden", 404: "Not found", 405: "Method not allowed",
           408: "Request timeout", 413: "Request entity too large",
           415: "Unsupported media type", 426: "Upgrade required"}


def check_refusal(answer: Any, status: int, reason: Sequence[str] = ()) -> None:
    """``text/plain``: the phrase of the status, and why, in at most 256 printable characters.

    :param reason: words that it names.
    """
    assert isinstance(answer, Refusal), answer
    shown = (answer.status, answer.headers["Content-Type"])
    assert shown == (status, "text/plain; charset=utf-8"), answer
    assert re.fullmatch(rf"{PHRASES[status]}: [ -~]+", answer.text), answer.text
    assert len(answer.text) <= 256, answer.text
    assert all(word in answer.text for word in reason), (answer.text, reason)


def check_refused_message(answer: Any, refusal: Any) -> None:
    """By WebSocket the connection stays open, and one error says what ``refusal`` says by HTTP."""
    reason = refusal.text.removeprefix(f"{PHRASES[refusal.status]}: ")
    assert answer == [{"successful": False, "error": f"{refusal.status}::{reason}"}]
