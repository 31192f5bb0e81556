"""python-socketio with Redis between its workers: ``gunicorn -k gevent socketio_app:application``.

``sub`` with a room joins it; ``pub`` with a room and data sends ``msg`` with the data to the room.
Both are acknowledged. ``REDIS_URL`` names the Redis.
"""

import os

from gevent import monkey

monkey.patch_all()

import socketio  # noqa: E402

server = socketio.Server(
    async_mode="gevent",
    client_manager=socketio.RedisManager(os.environ["REDIS_URL"]),
    cors_allowed_origins="*",
    http_compression=False,
)
application = socketio.WSGIApp(server)


@server.on("sub")
def subscribe(client_id: str, room: str) -> None:
    server.enter_room(client_id, room)


@server.on("pub")
def publish(client_id: str, room: str, data: object) -> None:
    server.emit("msg", data, room=room)
