"""Every key in Redis, its type and its lifetime.

========================== =========== ========================================== ==============
key (after the namespace)  type        what                                       lifetime
========================== =========== ========================================== ==============
``clients``                sorted set  client id -> last seen, ms of Redis TIME   clean-up
                                       (0: being removed)
``clients:<id>``           hash        the fields below                           subscription_ttl
``removed:<id>``           hash        the same of a client whose removal is      subscription_ttl
                                       under way, and ``call``: which call
                                       removed it
``kicked:<id>``            string      this client was kicked                     client_timeout
``channels:<channel>``     set         ids of the clients subscribed to exactly   subscription_ttl
                                       this channel or pattern
``messages:<channel>``     stream      log of this channel or pattern; only while message_ttl
                                       it has subscribers
``trimmed:<channel>``      string      the last message id removed from this log  message_ttl
``last_id``                string      the last message id issued                 for ever
``operations:<operation>`` string      the message id a publish was given         60 s
``servers:<server_id>``    hash        host, pid of a worker; position: all its   2 client_timeout
                                       streams that follow have confirmed it      + 60 s
``alive``                  string      ms of Redis TIME when a worker was last here   for ever
``grace``                  string      after an outage: ms of the last ``alive``      client_timeout
                                       before it, from which clients' times count
``marker``                 string      ms of Redis TIME; the same as long as Redis for ever
                                       has its data
``restoring``              string      data was lost and clients are put back     restore_window
``locks:cleanup``          string      who cleans up now (token)                  30 s, extended
========================== =========== ========================================== ==============

A client has one key, since a key takes more memory than all that is in it. Its fields:

================ ================================================================================
channel, pattern message id from which (exclusive) this subscription counts; as the only ones, these
                 begin with "/"
``epoch``        number of its latest connection; there as long as the client is
``version``      number of changes of its subscriptions
``cursor``       everything up to this message id is confirmed
``sent``         position that a poll was answered with and that nothing has confirmed yet
``connect_id``   of its latest connect
``poll``         id of the server that holds a poll of it
``stream``       its latest stream; that is its connection if it has the epoch of the client
``owed``         streams before its connection that may have delivered more than ``cursor`` says
``kept``         second of Redis TIME when a connect (or its creation) extended its lifetime and
                 that of its channels
``user``         the user that its handshake named, if it did
``binding``      digest of what its requests have to show, if that is anything
``acknowledges`` 1 if it says itself what it has received
================ ================================================================================

A stream is written as server id, "/", epoch, and "!" unless the position of its server holds for
it.

Lifetimes are kept fresh while the key is in use (at most one command per key per half lifetime);
a live client's keys never run out. A log and its ``trimmed`` live for ``message_ttl``, but at least
twice as long as the log keeps a message.

Pub/sub channels: ``publish:<db>:<channel>`` carries ``id channel payload`` to the workers that
follow this channel or pattern, ``server:<db>:<server_id>`` control messages to one worker, and
without an id to all. They contain the database number because Redis pub/sub ignores it.
"""

from __future__ import annotations


class Keys:
    """Names of keys and pub/sub channels.

    :param namespace: prefix of all of them, without the colon.
    :param database: number of the Redis database.
    """

    def __init__(self, namespace: str, database: int) -> None:
        self.prefix = f"{namespace}:"
        self.clients = f"{namespace}:clients"
        self.last_id = f"{namespace}:last_id"
        self.marker = f"{namespace}:marker"
        self.alive = f"{namespace}:alive"
        self.grace = f"{namespace}:grace"
        self.restoring = f"{namespace}:restoring"
        self.cleanup_lock = f"{namespace}:locks:cleanup"
        self._publish = f"{namespace}:publish:{database}:"
        self._server = f"{namespace}:server:{database}:"

    def client(self, client_id: str) -> str:
        return f"{self.prefix}clients:{client_id}"

    def kicked(self, client_id: str) -> str:
        return f"{self.prefix}kicked:{client_id}"

    def removed(self, client_id: str) -> str:
        return f"{self.prefix}removed:{client_id}"

    def subscribers(self, channel: str) -> str:
        return f"{self.prefix}channels:{channel}"

    def log(self, channel: str) -> str:
        return f"{self.prefix}messages:{channel}"

    def trimmed(self, channel: str) -> str:
        return f"{self.prefix}trimmed:{channel}"

    def operation(self, operation: str) -> str:
        return f"{self.prefix}operations:{operation}"

    def server(self, server_id: str) -> str:
        return f"{self.prefix}servers:{server_id}"

    def publish_channel(self, channel: str) -> str:
        return self._publish + channel

    def server_channel(self, server_id: str) -> str:
        return self._server + server_id

    def channel_sides(self, channels: list[str]) -> list[str]:
        """For each channel in turn: its set of subscribers, its log, what was removed from it."""
        return [key for name in channels
                for key in (self.subscribers(name), self.log(name), self.trimmed(name))]
