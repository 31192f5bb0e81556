"""Engines: where clients, subscriptions and messages are kept.

base    the contract
records what is taken and returned
memory  one process, in dictionaries
redis/  any number of processes, in Redis
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..settings import EngineSettings
    from .base import Engine


def create_engine(settings: EngineSettings) -> Engine:
    """The engine that ``settings.type`` names; nothing is connected yet."""
    if settings.type == "redis":
        from .redis.engine import RedisEngine

        return RedisEngine(settings)
    from .memory import MemoryEngine

    return MemoryEngine(settings)
