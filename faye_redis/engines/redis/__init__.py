"""The Redis engine.

engine    one method per verb
keys      every key, its type and lifetime
replies   what scripts return, as records
scripts   loads and runs ``lua/<verb>.lua``
sender    commands from any thread, without gevent
listener  the pub/sub greenlet
control   what workers tell each other
removal   leaving and expired clients
takeover  how far streams have come that a client had before
client    connections, and how long their failures are put up with
retries   repetitions of a call
failures  what an error of Redis means
"""
