"""What is told about clients whose connect is on its way to the engine and back.

Control messages travel on another connection than the answer to the connect, so they may come
first; they must not be lost for that.
"""

from __future__ import annotations

from ..engines.base import Session

_DOUBT = 60_000_000  # microseconds: longer ago, messages came by other ways than the stream


class Opening:
    """What was told about one client meanwhile."""

    __slots__ = ("_client_id", "_openings", "connects", "destroyed", "released", "since",
                 "version")

    def __init__(self, openings: dict[str, Opening], client_id: str) -> None:
        self._openings = openings
        self._client_id = client_id
        self.connects = 0
        self.released = 0
        """The highest epoch as of which another worker holds the client."""
        self.version = 0
        """The highest version of its subscriptions."""
        self.since = 2**62
        """The lowest id from which a new subscription may count."""
        self.destroyed = False

    def __enter__(self) -> Opening:
        self.connects += 1
        return self

    def __exit__(self, *error: object) -> None:
        self.connects -= 1
        if not self.connects:
            self._openings.pop(self._client_id, None)


class Openings:
    """The connects under way, by client."""

    def __init__(self) -> None:
        self._openings: dict[str, Opening] = {}

    def remember(self, client_id: str) -> Opening:
        """A context: what is told about the client while it lasts is remembered in it."""
        opening = self._openings.get(client_id)
        if opening is None:
            opening = self._openings[client_id] = Opening(self._openings, client_id)
        return opening

    def released(self, client_id: str, epoch: int) -> None:
        if opening := self._openings.get(client_id):
            opening.released = max(opening.released, epoch)

    def changed(self, client_id: str, version: int, since: int) -> None:
        if opening := self._openings.get(client_id):
            opening.version = max(opening.version, version)
            opening.since = min(opening.since, since)

    def destroyed(self, client_id: str) -> None:
        if opening := self._openings.get(client_id):
            opening.destroyed = True


def marked(mark: str, session: Session) -> int:
    """The position that a stream's ``mark`` stands for: exact, unless subscriptions have been made
    since that do not count from there.

    It may be before the cursor. The connect that confirmed what was sent cannot know of bytes that
    a proxy took and did not pass on; the client, which names what it has, does.
    """
    position, version = map(int, mark.split("-"))
    unknown = [] if version == session.version else [
        start for start in session.subscriptions.values() if start >= session.cursor]
    return max(session.cursor - _DOUBT, min([position, *unknown]))
