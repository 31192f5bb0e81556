"""The loggers ``faye_redis.*`` and their level."""

from __future__ import annotations

import logging

_LEVELS = {
    "silent": logging.CRITICAL + 1,
    "error": logging.ERROR,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}


def configure(log_level: str) -> None:
    """Set the level of all loggers of this package.

    They write to standard error, unless the application has given them, or the root logger, a
    handler of its own.
    """
    logger = logging.getLogger("faye_redis")
    logger.setLevel(_LEVELS[log_level])
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(
            "[%(asctime)s] [%(process)d] [%(levelname)s] %(name)s: %(message)s"))
        logger.addHandler(handler)
