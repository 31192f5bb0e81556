"""Publishing from Django, as part of what a transaction does."""

from __future__ import annotations

from typing import Any, Protocol

import orjson
from django.db import transaction

from .errors import PublishError


class Publishes(Protocol):
    """A ``Publisher``, or the in-process client."""

    def publish(self, channel: str, data: Any) -> None: ...


def publish_on_commit(
    publisher: Publishes, channel: str, data: Any, using: str | None = None
) -> None:
    """Publish once the transaction under way is committed; not at all if it, or the savepoint
    that it is in, is rolled back. Without a transaction publish at once.

    A publish that fails is logged by Django (``robust=True``) and raises nothing: what was
    committed cannot be taken back, an error would make the user try again, and other callbacks of
    the commit would not be called.

    :param data: as it is now; later changes have no effect.
    :param using: alias of the database.
    :raises PublishError: ``data`` is no JSON.
    """
    try:
        now = orjson.loads(orjson.dumps(data))
    except TypeError as problem:
        raise PublishError(f"400::data is no JSON: {problem}") from None

    def publish() -> None:
        publisher.publish(channel, now)
    transaction.on_commit(publish, using=using, robust=True)
