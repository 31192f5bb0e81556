"""npm faye's own server, the peer that this one is compared with."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import Any

from support import node_js
from support.processes import end, free_port
from support.waiting import eventually


class ReferenceServer:
    """``faye.NodeAdapter`` at ``/faye`` in one process, as a context manager.

    :param timeout: seconds a connect is held.
    """

    def __init__(self, timeout: float) -> None:
        self._options = {"port": free_port(), "timeout": timeout}
        self._process: subprocess.Popen[Any] | None = None

    @property
    def url(self) -> str:
        """``http://`` address without a trailing slash."""
        return f"http://127.0.0.1:{self._options['port']}"

    def _listens(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "node ended"
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", int(self._options["port"]))) == 0

    def __enter__(self) -> ReferenceServer:
        self._process = node_js.start(
            "reference_server.js", json.dumps(self._options), stdout=subprocess.DEVNULL
        )
        eventually(self._listens, timeout=30)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            end(self._process)
