"""The Redis engine.

engine    one method per verb
keys      every key, its type and lifetime
scripts   loads and runs ``lua/<verb>.lua``
listener  the pub/sub greenlet
control   what workers tell each other
removal   leaving and expired clients
client    connection pool and retries
failures  what an error of Redis means
"""
