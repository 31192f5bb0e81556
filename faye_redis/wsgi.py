"""The server standing alone, configured by ``FAYE_REDIS_*`` environment variables.

    FAYE_REDIS_URL=redis://localhost gunicorn -k gevent -w 2 \\
        -c python:faye_redis.gunicorn_conf faye_redis.wsgi:application
"""

from .adapter import WSGIAdapter

application = WSGIAdapter()
