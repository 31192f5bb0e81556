"""The ways in and out: every HTTP request inside the mount point becomes Bayeux messages here.

    router.py       Transports: which transport serves a request; refusals and failures
    http.py         long-polling, cross-origin-long-polling, callback-polling
    upgrade.py      WebSocket (RFC 6455): opening handshake
    websocket.py    WebSocket: one connection, its frames and messages
    replies.py      the replies to one array of messages, as they come (pure)
    eventsource.py  EventSource (server-sent events)
    static.py       the browser client, as files
    cookies.py      the cookie that clients are bound to, if they are (pure)
    cors.py         which origins may ask, and the headers that tell a browser so (pure)
    responses.py    plain WSGI responses
    sockets.py      a socket taken over from gunicorn: reads and writes without waiting
    table.py        the taken sockets that are open: limit, pings, deadlines, closing

A poll keeps its greenlet while it is held. WebSockets and event streams are taken over: the WSGI
call ends, the hub watches the socket, and an idle connection costs no greenlet.
"""

from .router import Transports

__all__ = ["Transports"]
