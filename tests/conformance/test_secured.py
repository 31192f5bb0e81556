"""The whole engine over TLS, as an ACL user that may do no more than the README grants."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gevent
import pytest
from redis.exceptions import NoPermissionError

from faye_redis.engines.redis.client import create_client
from faye_redis.settings import EngineSettings, Settings
from support.processes import free_port
from support.redis_server import RedisServer
from support.requirements import require
from support.waiting import eventually

from .conftest import least_rights
from .worker import Worker, is_held


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    openssl = require(shutil.which("openssl"), "no openssl here")
    subprocess.run([openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")],
                   check=True, capture_output=True)
    return tmp_path / "cert.pem"


@pytest.fixture
def secured(certificate: Path) -> Iterator[EngineSettings]:
    port = free_port()
    rules = certificate.with_name("acl")
    granted = " ".join(least_rights("my-app"))
    rules.write_text(f"user default off\nuser faye on >secret {granted}\n")
    binary = require(shutil.which("redis-server"), "no redis-server with TLS here")
    arguments = ["--tls-port", str(port), "--tls-cert-file", str(certificate),
                 "--tls-key-file", str(certificate.with_name("key.pem")),
                 "--tls-auth-clients", "no", "--aclfile", str(rules)]
    with RedisServer(*arguments, binary=binary):
        yield Settings.load({"engine": {
            "url": f"rediss://faye:secret@localhost:{port}/0", "namespace": "my-app",
            "client_timeout": 35, "ssl": {"ca_file": str(certificate)}}}, {}).engine


def test_everything_works_by_tls_with_the_least_permissions(secured: EngineSettings) -> None:
    workers = [Worker(secured), Worker(secured)]
    try:
        one, two = workers
        streaming, polling = one.client("/a/*"), two.client("/a/b", "/**")
        stream = one.stream(streaming)
        eventually(lambda: is_held(one, streaming))
        for number in range(50):
            two.publish("/a/b", number)
        assert two.poll(polling, 1) == list(range(50))
        eventually(lambda: len(stream.payloads) >= 50)
        assert stream.data == list(range(50))
        two.engine.unsubscribe(streaming, ["/a/*"])
        taken_over = gevent.spawn(two.poll, streaming, 2, 0)
        assert taken_over.get(timeout=5) == []
        assert two.engine.cleanup_expired(thorough=True) == 0
        assert one.engine.destroy_client(polling)
    finally:
        for worker in workers:
            worker.close()


@pytest.mark.parametrize("command", [
    "GET other:a", "SET my-app 1", "XADD my-apps:a * a b", "SUBSCRIBE other:a", "PUBLISH my-app 1",
    "PSUBSCRIBE *", "KEYS *", "FLUSHALL", "FLUSHDB", "CONFIG GET *", "ACL LIST", "CLIENT LIST",
    "MONITOR", "SHUTDOWN", "SCRIPT FLUSH", "FUNCTION LIST", "SAVE"])
def test_and_nothing_else_is_permitted(redis_settings: EngineSettings, command: str) -> None:
    with create_client(replace(redis_settings, namespace="my-app")) as client:
        admitted = command.replace("my-app", redis_settings.namespace)
        with pytest.raises(NoPermissionError):
            client.execute_command(*admitted.split())
