"""Monkey-patches the test process, as a worker of gunicorn is.

Loaded by ``-p patched`` (setup.cfg) before any other plugin, so that nothing has kept a
reference to a blocking function.
"""

from gevent import monkey

monkey.patch_all()
