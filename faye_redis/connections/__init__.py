"""The connections of clients to this worker.

table       ``Connections``: opens, catches up, matches, flushes and ends them
connection  one connection: a held poll, or the subscriber behind a stream
followers   channel or pattern -> connections
deadlines   held connect replies by the time they are due
"""

from .connection import Stream
from .table import Connections

__all__ = ["Connections", "Stream"]
