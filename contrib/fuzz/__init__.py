"""Inputs nobody thought of: ``contrib/fuzz/run --help``.

A target is a module with two functions. ``generate(source)`` makes a case out of bytes that
libFuzzer chooses by the coverage they bring; ``check(case)`` runs it and raises ``Finding`` if the
result is not a documented one, else names what happened. The tests in ``tests/unit`` have
hypothesis make the cases for the same ``check``.

    envelope    bytes of a request -> messages -> replies, and what is stored
    grammar     names of channels and patterns; which subscriptions match
    jsonp       scripts that callback-polling answers with
    frames      WebSocket frames read in short
    websocket   a whole WebSocket
    settings    options and environment variables
    origins     which origins may ask

``finding`` says what is wrong, ``values`` and ``wire`` make the parts of cases, ``world`` is a
server to run them in. ``worker`` drives one target, ``__main__`` one worker after the other.
"""

from __future__ import annotations

TARGETS = ("envelope", "grammar", "jsonp", "frames", "websocket", "settings", "origins")
