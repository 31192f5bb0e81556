"""What the engine is told of how far streams have come.

A stream either has a position of its own in the engine, or it *follows*: the worker writes one
position for all its streams, each second, and everything up to it has arrived at each of those that
follow. A stream begins with its own; it follows once it is live; one whose peer confirms nothing
for seconds gets its own again, so that it does not hold up the others' position.

Each change is safe against the worker's death in the middle. A stream that begins to follow counts
from then on for the worker's position; the engine learns of it when such a position has been
written. One that ceases to counts until the engine has its own position.
"""

from __future__ import annotations

import logging

from ..concurrency import Task, monotonic, sleep, spawn
from ..engines.base import Engine, Progress, Standing
from ..errors import EngineError
from .subscriber import Stream, Subscriber

log = logging.getLogger("faye_redis.connections")

_CONFIRM_SECONDS = 0.5
_RETRY_SECONDS = 1.0
_LONGEST_PAUSE = 5.0
_LATE_SECONDS = 3.0


class Positions:
    """Saves positions of streams."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ending: dict[Subscriber, None] = {}
        self._ended: list[Subscriber] = []
        """Those of them that are to be saved next: together, for a worker that stops ends all."""
        self._saver: Task | None = None
        self._joining: list[Subscriber] = []
        """They count for the worker's position since the last survey."""
        self._telling = False

    # The end of a stream

    def end(self, subscriber: Subscriber) -> None:
        """A stream gets no more: save how far it has come, trying again as long as the engine is
        down. Until that is done it counts for the worker's position."""
        self._ending[subscriber] = None
        spawn(self._end, subscriber)

    def _end(self, subscriber: Subscriber) -> None:
        subscriber.await_confirmation(_CONFIRM_SECONDS)
        self._ended.append(subscriber)
        if self._saver is None:
            self._saver = spawn(self._save_ended)

    def _save_ended(self) -> None:
        try:
            while self._ended:
                ended, self._ended = self._ended, []
                self._save_surely([_progress(one, Standing.ENDED) for one in ended])
                for one in ended:
                    self._ending.pop(one, None)
        finally:
            self._saver = None

    def _save_surely(self, progress: list[Progress]) -> None:
        pause = _RETRY_SECONDS
        while not self._save(progress):
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    @property
    def ending(self) -> list[Subscriber]:
        """Streams whose last position is not saved yet."""
        return list(self._ending)

    # The position of all

    def survey(self, streams: list[Subscriber], heard: int, written: bool) -> int:
        """Let streams begin and cease to follow; see ``EngineEvents.delivered``.

        :returns: what has arrived at all that follow.
        """
        now = monotonic()
        unsettled = [one for one in streams if not one.look(heard, now)]
        if not self._telling:
            self._change(streams, now, written)
        behind = [one for one in [*unsettled, *self._ending] if one.follows]
        return min([heard, *(one.resumable for one in behind)])

    def reset(self, streams: list[Subscriber]) -> None:
        """The engine has been given the streams' own positions."""
        self._joining = []
        for stream in streams:
            stream.follows = False

    def _change(self, streams: list[Subscriber], now: float, written: bool) -> None:
        joining = [one for one in self._joining if one.follows]
        told = [(one, Standing.FOLLOWS) for one in joining] if written else []
        self._joining = [] if written else joining
        for stream in [one for one in streams if one.saved is not None]:
            may_follow = stream.stream.confirms and now - stream.fresh_at < _LATE_SECONDS
            if stream.follows and not may_follow:
                told = [pair for pair in told if pair[0] is not stream]
                self._joining = [one for one in self._joining if one is not stream]
                told.append((stream, Standing.OWN))
            elif not stream.follows and may_follow and _is_up_to_date(stream):
                stream.follows = True
                self._joining.append(stream)
            elif not stream.follows and stream.resumable > (stream.saved or 0):
                told.append((stream, Standing.OWN))
        if told:
            self._telling = True
            spawn(self._tell, told)

    def _tell(self, told: list[tuple[Subscriber, Standing]]) -> None:
        try:
            told = [(one, standing) for one, standing in told if not one.closed]
            progress = [_progress(one, standing) for one, standing in told]
            if not self._save(progress):
                self._joining += [one for one, standing in told if standing is Standing.FOLLOWS]
                return
            for (one, standing), saved in zip(told, progress, strict=True):
                one.saved = saved.position
                one.follows = standing is Standing.FOLLOWS
        finally:
            self._telling = False

    def _save(self, positions: list[Progress]) -> bool:
        try:
            self._engine.save(positions)
        except EngineError as error:
            log.warning("positions of clients not saved: %s", error)
            return False
        return True


def _is_up_to_date(stream: Subscriber) -> bool:
    """One that is not would hold up the position of all."""
    return stream.is_settled or (stream.live and stream.confirmed.position > (stream.saved or 0))


def close_when_confirmed(
    subscriber: Subscriber | None, stream: Stream, code: int, reason: str
) -> None:
    """Close a stream that gets no more, when its peer has said what has arrived."""
    if subscriber:
        subscriber.await_confirmation(_CONFIRM_SECONDS)
    stream.close(code, reason)


def _progress(one: Subscriber, standing: Standing) -> Progress:
    return Progress(one.client_id, one.session.epoch, one.session.version, one.resumable, standing)
