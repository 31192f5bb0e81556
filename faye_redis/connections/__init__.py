"""The connections of clients to this worker.

table       ``Connections``: opens, matches, flushes and ends them
connection  what all connections have
poll        a held request
polls       how requests are served: held, answered, given up
subscriber  a stream: WebSocket, EventSource or the in-process client
catchup     how a connection becomes live
positions   how far streams have come, saved when they close
recovery    what is remembered and asked again after an outage
opening     what is told while a connect is under way
followers   channel or pattern -> connections
deadlines   held connect replies by the time they are due
"""

from .subscriber import Stream
from .table import Connections

__all__ = ["Connections", "Stream"]
