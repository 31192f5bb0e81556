"""What scripts return, made into the records of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import Superseded, UnknownClient
from ..base import NOBODY, Owed, Owner, Session


def session_of(client_id: str, reply: list[Any]) -> Session:
    """What ``connect.lua`` and ``session.lua`` tell.

    :raises UnknownClient: there is no such client.
    :raises Superseded: a newer connection holds it.
    """
    if reply[0] == 0:
        raise UnknownClient(client_id)
    if reply[0] == 2:
        raise Superseded("a newer connection holds the client")
    _, epoch, version, cursor, repeat_to, owed, fields, _, acknowledges = reply
    client = dict(zip(fields[::2], fields[1::2], strict=True))
    return Session(
        epoch,
        version,
        int(cursor),
        {name.decode(): int(value) for name, value in client.items()
         if name.startswith(b"/")},  # the others are no subscriptions, see ``keys``
        bool(acknowledges),
        int(repeat_to) if repeat_to else None,
        tuple(_streams(owed)),
        owner_of(client),
    )


def _streams(owed: list[Any]) -> list[Owed]:
    parts = iter(owed)
    return [Owed(server.decode(), epoch, bool(follows), bool(heard)) for
            server, epoch, follows, heard in zip(*[parts] * 4, strict=True)]


def owner_of(client: Mapping[bytes, bytes]) -> Owner:
    """Whose the client with these fields is."""
    if b"user" in client or b"binding" in client:
        return Owner(client.get(b"user", b"").decode(), client.get(b"binding", b"").decode())
    return NOBODY
