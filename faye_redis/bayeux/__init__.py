"""The Bayeux protocol: what a message means and what is answered. Pure: no sockets, no store.

    server        the verbs: handshake, connect, disconnect, subscribe, unsubscribe
    publishing    the verb publish
    policy        the application's rules: who may shake hands, subscribe, publish
    authorization asks them, and refuses
    sessions      whose a client is
    services      handlers of /service channels
    limits        how much may be asked for
    messages      JSON to messages and back; the stored form of a published message
    grammar       what channels, patterns and ids look like
    channels      meta and service channels; which subscriptions a channel matches
    errors        the table of error codes and texts
    advice        what clients are told about reconnecting
    outgoing      the way out, through extensions
    extensions    user code that sees, changes or refuses messages
    monitoring    user code that is told what happened

Nothing here waits, except for user code; nothing imports gevent or redis.
"""
