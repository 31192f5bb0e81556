"""How far streams have come that a client had before: asked for, or found in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..base import Owed, Session
from ..handover import Handovers
from .keys import Keys
from .retries import retried

if TYPE_CHECKING:
    import redis

    from ...settings import EngineSettings


class Takeover:
    """Finds out from where a client goes on. Changes nothing in Redis."""

    def __init__(
        self, client: redis.Redis, keys: Keys, handovers: Handovers, settings: EngineSettings
    ) -> None:
        self._settings = settings
        self._redis = client
        self._keys = keys
        self._handovers = handovers

    def position(self, client_id: str, session: Session) -> tuple[int, bool]:
        """Everything up to this position has been delivered; and: has every stream answered, and
        recorded it itself? See ``Engine.release``."""
        answers = self._handovers.wait(client_id, session.owed)
        silent = [one for one, answer in zip(session.owed, answers, strict=True) if answer is None]
        position = max([session.cursor, *filter(None, answers)])
        if silent:
            position = max(position, self._left_by(client_id, silent))
        return position, not silent

    def _left_by(self, client_id: str, streams: Sequence[Owed]) -> int:
        """How far streams had come whose answer did not arrive.

        What their workers wrote once a second comes first: it holds for a stream only as long as
        that is still owed. One that is not has moved the cursor, although its word was lost.
        """
        written = {one: self._last_position(one.server_id) for one in streams if one.follows}
        cursor, owed = self._cursor_and_owed(client_id)
        left = [position for one, position in written.items()
                if f"{one.server_id}/{one.epoch}" in owed]
        return max([cursor, *left])

    @retried
    def _last_position(self, server_id: str) -> int:
        return int(self._redis.hget(self._keys.server(server_id), "position") or 0)

    @retried
    def _cursor_and_owed(self, client_id: str) -> tuple[int, list[str]]:
        found: list[Any] = self._redis.hmget(self._keys.client(client_id), "cursor", "owed")
        return int(found[0] or 0), (found[1] or b"").decode().split()
