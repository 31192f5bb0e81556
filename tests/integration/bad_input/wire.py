"""HTTP/1.1 as bytes, so that no library puts it in order."""

from __future__ import annotations

import http.client
import socket
from contextlib import closing, suppress

from carriers import MOUNT, Refusal


def head(start: str, *headers: str) -> bytes:
    return "\r\n".join([f"{start} HTTP/1.1", "Host: a", *headers, "", ""]).encode()


def post(body: bytes, *headers: str, length: int | None = None,
         kind: str = "application/json") -> bytes:
    size = len(body) if length is None else length
    return head(f"POST {MOUNT}", f"Content-Type: {kind}", f"Content-Length: {size}",
                *headers) + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    start = head(f"POST {MOUNT}", "Content-Type: application/json", "Transfer-Encoding: chunked")
    return start + framed + end


def answer(sock: socket.socket, method: str | None = None) -> Refusal:
    """The response that comes next; of an event stream the head only."""
    with closing(http.client.HTTPResponse(sock, method=method)) as response:
        response.begin()
        endless = response.getheader("Content-Type") == "text/event-stream"
        text = "" if endless else response.read().decode("latin-1")
        return Refusal(response.status, text, dict(response.getheaders()))


def received(sock: socket.socket) -> bytes:
    """All that comes until the peer closes, in whichever way."""
    data = b""
    with suppress(ConnectionError):
        while piece := sock.recv(65536):
            data += piece
    return data
