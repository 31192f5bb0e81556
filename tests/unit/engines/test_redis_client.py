"""Connections to Redis against real servers: options, waiting, repetitions, failures, secrets."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest
import redis
from redis.exceptions import NoScriptError, RedisError

from faye_redis.engines.redis.client import (
    check,
    create_client,
    create_subscriber_client,
)
from faye_redis.engines.redis.failures import translated
from faye_redis.engines.redis.retries import retried
from faye_redis.errors import ConfigurationError, EngineError, EngineUnavailable
from faye_redis.settings import EngineSettings, Settings
from support.processes import free_port
from support.redis_server import RedisServer
from support.requirements import require
from support.waiting import eventually

CANARY = "s3cr3t-canary"
PATIENCE = 15  # seconds: far above every time-out here, far below a hang


def engine_settings(server: RedisServer | int, **options: Any) -> EngineSettings:
    port = server if isinstance(server, int) else server.port
    return Settings.load({"engine": {"host": "127.0.0.1", "port": port, **options}}).engine


def checked(settings: EngineSettings) -> redis.Redis:
    client = create_client(settings)
    try:
        check(client, settings)
        client.ping()
    finally:
        client.close()
    return client


def refused(settings: EngineSettings) -> str:
    with pytest.raises(ConfigurationError) as caught:
        checked(settings)
    return str(caught.value)


class Caller:
    """Calls a Redis as an engine does."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self.client = create_client(settings)
        self.attempts = 0

    @retried
    def repeatable(self, *command: Any) -> Any:
        self.attempts += 1
        return self.client.execute_command(*command)  # type: ignore[no-untyped-call]

    @translated()
    def once(self, *command: Any) -> Any:
        self.attempts += 1
        return self.client.execute_command(*command)  # type: ignore[no-untyped-call]


class FakeServer:
    """Answers commands as it is told; a reply of None closes the connection instead."""

    def __init__(self, reply: Callable[[list[bytes]], bytes | None]) -> None:
        self._reply = reply
        self.commands: list[list[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as lines:
            while header := lines.readline():
                command = [self._argument(lines) for _ in range(int(header[1:]))]
                self.commands.append(command)
                reply = b"+OK\r\n" if command[0] == b"CLIENT" else self._reply(command)
                if reply is None:
                    return
                sock.sendall(reply)

    @staticmethod
    def _argument(lines: Any) -> bytes:
        length = int(lines.readline()[1:])
        return bytes(lines.read(length + 2)[:-2])

    def count(self, name: bytes) -> int:
        return sum(command[0] == name for command in self.commands)

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.close()


def debian_redis() -> str:
    return require(shutil.which("redis-server"), "no redis-server here")


@pytest.fixture(scope="module", params=["default", "debian"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server with a password, and with users that lack a permission each."""
    binary = debian_redis() if request.param == "debian" else None
    with RedisServer("--requirepass", "right", binary=binary) as started:
        admin = redis.Redis(port=started.port, password="right")
        for name, denied in [("ann", []), ("noeval", ["-eval"]), ("noinfo", ["-info"]),
                             ("noselect", ["-select"]), ("noset", ["-set"])]:
            admin.acl_setuser(name, enabled=True, passwords=["+right"], keys=["*"],
                              channels=["*"], commands=["+@all", *denied])
        yield started
        admin.close()


@pytest.fixture
def admin(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(port=server.port, password="right") as client:
        yield client


# Start: password, user, database


def test_a_password(server: RedisServer) -> None:
    checked(engine_settings(server, password="right"))


def test_an_acl_user_on_another_database(server: RedisServer) -> None:
    checked(engine_settings(server, username="ann", password="right", database=3))


def test_a_url_with_credentials(server: RedisServer) -> None:
    url = f"redis://ann:right@127.0.0.1:{server.port}/2"
    checked(Settings.load({"engine": {"url": url}}).engine)


def test_a_unix_socket(server: RedisServer) -> None:
    checked(engine_settings(server, host=server.unix_socket, password="right"))
    checked(Settings.load({"engine": {"url": f"unix://:right@{server.unix_socket}?db=1"}}).engine)


@pytest.mark.parametrize(("options", "message"), [
    ({"password": "wrong"}, "engine.password: Redis refuses it, or engine.username"),
    ({}, "engine.password: Redis wants one"),
    ({"username": "ann", "password": "wrong"},
     "engine.password: Redis refuses it, or engine.username"),
    ({"username": "bob", "password": "right"},
     "engine.password: Redis refuses it, or engine.username"),
    ({"password": "right", "database": 99}, "engine.database: 99: DB index is out of range"),
])
def test_a_wrong_option_is_named_at_start(
        server: RedisServer, options: dict[str, Any], message: str) -> None:
    assert refused(engine_settings(server, **options)) == message


@pytest.mark.parametrize(("user", "command"), [("noeval", "eval"), ("noselect", "select")])
def test_a_lacking_permission_is_named_at_start(
        server: RedisServer, user: str, command: str) -> None:
    text = refused(engine_settings(server, username=user, password="right", database=1))
    assert text.startswith("engine.username: lacks a permission: ")
    assert f"'{command}'" in text


def test_a_password_where_none_is_wanted(redis_server: RedisServer) -> None:
    assert refused(engine_settings(redis_server, password="right")) == (
        "engine.password: Redis refuses it; it may have none itself")


def test_without_info_the_version_is_not_checked(
        server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "faye_redis")
    checked(engine_settings(server, username="noinfo", password="right"))
    assert ["INFO is not permitted" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(("policy", "warnings"), [("allkeys-lru", 1), ("noeviction", 0)])
def test_an_evicting_policy_warns(server: RedisServer, admin: redis.Redis, policy: str,
                                  warnings: int, caplog: pytest.LogCaptureFixture) -> None:
    admin.config_set("maxmemory-policy", policy)
    try:
        checked(engine_settings(server, password="right"))
    finally:
        admin.config_set("maxmemory-policy", "noeviction")
    assert sum(policy in record.getMessage() for record in caplog.records) == warnings


@pytest.mark.parametrize(("version", "accepted"), [
    ("6.2.14", False), ("7.0.0", True), ("7.2.4", True), ("10.0.1", True)])
def test_old_servers_are_refused(version: str, accepted: bool) -> None:
    info = f"redis_version:{version}\r\n".encode()
    replies = {b"PING": b"+PONG\r\n", b"EVAL": b":1\r\n",
               b"INFO": b"$%d\r\n%s\r\n" % (len(info), info)}
    with FakeServer(lambda command: replies[command[0]]) as fake:
        settings = engine_settings(fake.port)
        if accepted:
            checked(settings)
        else:
            assert refused(settings) == (f"engine.host: is Redis {version}; at least Redis 7.0 or "
                                         "Valkey 7.2 is needed")


@pytest.mark.parametrize("place", [
    {}, {"ssl": {"enabled": True}}, {"host": "nonexistent.invalid"},
    {"host": "/nonexistent/socket"}])
def test_an_unreachable_redis_is_no_wrong_option(place: dict[str, Any]) -> None:
    with pytest.raises(EngineUnavailable):
        checked(engine_settings(1, **place))


# TLS


class Certificates:
    """Authorities and certificates, made once by openssl."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for authority in ("ca", "other"):
            self._openssl("req", "-x509", *self._key(authority), "-out", f"{authority}.crt",
                          "-days", "2")
        self._issue("server", "ca", "IP:127.0.0.1,DNS:localhost")
        self._issue("elsewhere", "ca", "DNS:example.org")
        self._issue("expired", "ca", "IP:127.0.0.1", days="-1")
        self._issue("client", "ca", "DNS:client")
        self._issue("stranger", "other", "DNS:stranger")

    def _key(self, name: str) -> list[str]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                f"{name}.key", "-subj", f"/CN={name}"]

    def _issue(self, name: str, authority: str, names: str, days: str = "2") -> None:
        self._openssl("req", *self._key(name), "-out", f"{name}.csr")
        (self._folder / "extensions").write_text(f"subjectAltName={names}\n")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey",
                      f"{authority}.key", "-CAcreateserial", "-out", f"{name}.crt", "-days", days,
                      "-extfile", "extensions")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)

    def path(self, name: str) -> str:
        return str(self._folder / name)

    def client(self, name: str) -> dict[str, str]:
        return {"cert_file": self.path(f"{name}.crt"), "key_file": self.path(f"{name}.key")}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    require(shutil.which("openssl"), "no openssl here")
    return Certificates(tmp_path_factory.mktemp("certificates"))


TlsPort = Callable[[str, str], int]


@pytest.fixture(scope="module")
def tls_port(certificates: Certificates) -> Iterator[TlsPort]:
    """Starts a TLS server once per (its certificate, whether clients need one)."""
    started: dict[tuple[str, str], tuple[RedisServer, int]] = {}

    def start(certificate: str, clients: str) -> int:
        if (certificate, clients) not in started:
            port = free_port()
            server = RedisServer(
                "--tls-port", str(port), "--tls-ca-cert-file", certificates.path("ca.crt"),
                "--tls-cert-file", certificates.path(f"{certificate}.crt"),
                "--tls-key-file", certificates.path(f"{certificate}.key"),
                "--tls-auth-clients", clients, binary=debian_redis())
            started[certificate, clients] = server.start(), port
        return started[certificate, clients][1]
    yield start
    for server, _ in started.values():
        server.close()


@pytest.fixture
def tls(certificates: Certificates, tls_port: TlsPort) -> Callable[..., EngineSettings]:
    def settings(certificate: str = "server", clients: str = "no", host: str = "127.0.0.1",
                 **options: Any) -> EngineSettings:
        options = {"enabled": True, "ca_file": certificates.path("ca.crt"), **options}
        return engine_settings(tls_port(certificate, clients), host=host, ssl=options)
    return settings


def test_tls_with_a_verified_certificate(tls: Callable[..., EngineSettings]) -> None:
    for _ in range(5):
        checked(tls())
    checked(tls(host="localhost"))


def test_tls_by_url(certificates: Certificates, tls_port: TlsPort) -> None:
    url = (f"rediss://127.0.0.1:{tls_port('server', 'no')}/1"
           f"?ssl_ca_certs={certificates.path('ca.crt')}")
    checked(Settings.load({"engine": {"url": url}}).engine)


def test_tls_with_a_client_certificate(
        tls: Callable[..., EngineSettings], certificates: Certificates) -> None:
    checked(tls(clients="yes", **certificates.client("client")))


def test_tls_carries_large_values_and_pub_sub(tls: Callable[..., EngineSettings]) -> None:
    settings = tls()
    client, value = create_client(settings), b"x" * 300_000
    connection: Any = create_subscriber_client(settings).connection_pool.make_connection()
    connection.connect()
    connection.send_command("SUBSCRIBE", "c")
    assert connection.read_response(timeout=PATIENCE) == [b"subscribe", b"c", 1]
    client.publish("c", value)
    assert connection.read_response(timeout=PATIENCE) == [b"message", b"c", value]
    connection.disconnect()
    client.close()


def test_verification_can_be_turned_off(
        tls: Callable[..., EngineSettings], certificates: Certificates) -> None:
    other = certificates.path("other.crt")
    checked(tls("expired", verify=False, ca_file=other))
    checked(tls("elsewhere", check_hostname=False))


def test_tls_with_the_wrong_authority(
        tls: Callable[..., EngineSettings], certificates: Certificates) -> None:
    settings = tls(ca_file=certificates.path("other.crt"))
    assert refused(settings) == (
        f"engine.ssl.ca_file: the certificate of 127.0.0.1:{settings.port} fails: "
        "self-signed certificate in certificate chain")


def test_tls_with_an_expired_certificate(tls: Callable[..., EngineSettings]) -> None:
    assert refused(tls("expired")).endswith("fails: certificate has expired")


def test_tls_with_a_certificate_for_another_host(tls: Callable[..., EngineSettings]) -> None:
    settings = tls("elsewhere")
    assert refused(settings).startswith(
        f"engine.host: the certificate of 127.0.0.1:{settings.port} fails: IP address mismatch")
    assert refused(tls("elsewhere", host="localhost")).startswith("engine.host: ")


@pytest.mark.parametrize("client", [None, "stranger"])
def test_tls_without_the_right_client_certificate(
        tls: Callable[..., EngineSettings], certificates: Certificates,
        client: str | None) -> None:
    settings = tls(clients="yes", **(certificates.client(client) if client else {}))
    assert refused(settings).startswith(
        f"engine.ssl.cert_file: 127.0.0.1:{settings.port} refuses it: ")


def test_a_plain_client_of_a_tls_port(tls_port: TlsPort) -> None:
    for clients in ("no", "yes"):
        port = tls_port("server", clients)
        assert refused(engine_settings(port)) == (
            f"engine.ssl.enabled: must be True: 127.0.0.1:{port} wants TLS")


def test_a_tls_client_of_a_plain_port(server: RedisServer) -> None:
    assert refused(engine_settings(server, ssl={"enabled": True}, connect_timeout=0.5)) == (
        f"engine.ssl.enabled: must be False: 127.0.0.1:{server.port} has no TLS")


@pytest.mark.parametrize("option", ["ca_file", "cert_file"])
def test_files_that_are_no_certificates(
        tls: Callable[..., EngineSettings], tmp_path: Path, option: str) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("not a certificate")
    assert refused(tls(**{option: garbage})).startswith(f"engine.ssl.{option}: ")


def test_a_key_of_another_certificate(
        tls: Callable[..., EngineSettings], certificates: Certificates) -> None:
    files = certificates.client("client") | {"key_file": certificates.path("stranger.key")}
    assert refused(tls(**files)).startswith("engine.ssl.cert_file: must be a PEM certificate")


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_silent_server_is_unavailable(encrypted: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = engine_settings(silent.getsockname()[1], read_timeout=0.2, connect_timeout=0.2,
                                   ssl={"enabled": encrypted})
        with pytest.raises(EngineUnavailable):
            checked(settings)
        started = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            connection: Any = create_subscriber_client(settings).connection_pool.make_connection()
            connection.connect()
            connection.read_response()
        assert time.monotonic() - started < PATIENCE


# Pool


def test_the_pool_has_pool_size_connections(redis_server: RedisServer, namespace: str) -> None:
    client = create_client(engine_settings(redis_server, pool_size=2, pool_timeout=PATIENCE,
                                           operation_timeout=2 * PATIENCE))
    threads = [threading.Thread(target=client.blpop, args=([namespace], 0.2)) for _ in range(6)]
    with redis.Redis(port=redis_server.port) as watcher:
        before = len(watcher.client_list())
        for thread in threads:
            thread.start()
        eventually(lambda: int(watcher.info("clients")["blocked_clients"]) == 2)
        assert len(watcher.client_list()) == before + 2
    for thread in threads:
        thread.join()
    client.close()


@pytest.mark.parametrize(("pool_timeout", "operation_timeout", "longest"), [
    (0.3, 60, 0.3), (60, 0.5, 0.3)])
def test_a_caller_waits_for_the_pool_at_most_so_long(
        redis_server: RedisServer, pool_timeout: float, operation_timeout: float,
        longest: float) -> None:
    caller = Caller(engine_settings(
        redis_server, pool_size=1, pool_timeout=pool_timeout, read_timeout=0.2, write_timeout=0.2,
        connect_timeout=0.2, operation_timeout=operation_timeout, retry_delay=0))
    held = caller.client.connection_pool.get_connection()
    started = time.monotonic()
    with pytest.raises(EngineUnavailable, match="No connection available"):
        caller.repeatable("PING")
    assert longest * 0.9 <= time.monotonic() - started < PATIENCE
    assert caller.attempts == 1
    caller.client.connection_pool.release(held)
    assert caller.repeatable("PING") is True
    caller.client.close()


# Repetitions


@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_only_what_is_repeatable_is_sent_again(max_retries: int) -> None:
    with FakeServer(lambda command: None) as fake:
        caller = Caller(engine_settings(fake.port, max_retries=max_retries, retry_delay=0.01))
        with pytest.raises(EngineUnavailable):
            caller.once("EVALSHA", "0" * 40, 0)
        assert fake.count(b"EVALSHA") == 1
        with pytest.raises(EngineUnavailable):
            caller.repeatable("EVALSHA", "0" * 40, 0)
        assert fake.count(b"EVALSHA") == 1 + 1 + max_retries


def test_a_repetition_that_succeeds_returns_its_result() -> None:
    replies = iter([None, None, b":7\r\n"])
    with FakeServer(lambda command: next(replies)) as fake:
        caller = Caller(engine_settings(fake.port, retry_delay=0.01))
        assert caller.repeatable("INCR", "x") == 7
        assert fake.count(b"INCR") == 3


def test_an_answer_is_not_repeated_even_if_it_is_an_error() -> None:
    with FakeServer(lambda command: b"-OOM command not allowed\r\n") as fake:
        caller = Caller(engine_settings(fake.port, retry_delay=0.01))
        with pytest.raises(EngineUnavailable):
            caller.repeatable("INCR", "x")
        assert fake.count(b"INCR") == 1


def test_no_pause_leaves_too_little_time_for_the_last_attempt() -> None:
    with FakeServer(lambda command: None) as fake:
        caller = Caller(engine_settings(
            fake.port, max_retries=1000, retry_delay=1000, connect_timeout=1, read_timeout=6,
            write_timeout=1, operation_timeout=6.5))
        started = time.monotonic()
        with pytest.raises(EngineUnavailable):
            caller.repeatable("INCR", "x")
        assert 0.4 < time.monotonic() - started < 4  # 0.5 s, not the 6.5 s that the backoff says
        assert fake.count(b"INCR") == caller.attempts == 2


def test_a_hung_server_costs_no_more_than_the_operation_timeout() -> None:
    with RedisServer() as hung:
        caller = Caller(engine_settings(
            hung, read_timeout=0.3, write_timeout=0.3, connect_timeout=0.3, operation_timeout=1,
            retry_delay=0.1))
        assert caller.once("INCR", "x") == 1
        hung.pause()
        with pytest.raises(EngineUnavailable):
            caller.once("INCR", "x")
        started = time.monotonic()
        with pytest.raises(EngineUnavailable):
            caller.repeatable("PING")
        assert time.monotonic() - started < PATIENCE
        hung.resume()
        assert eventually(lambda: caller.client.get("x") == b"2")  # sent once, run late
        assert caller.once("INCR", "x") == 3
        caller.client.close()


def test_whatever_takes_long_ends_with_the_operation_timeout(redis_server: RedisServer) -> None:
    class Slow(Caller):
        @retried
        def waits(self) -> None:
            gevent.sleep(60)  # as for a connection that others are waiting for, too

    caller = Slow(engine_settings(redis_server, read_timeout=0.1, write_timeout=0.1,
                                  connect_timeout=0.1, operation_timeout=0.2))
    with gevent.Timeout(PATIENCE), pytest.raises(EngineUnavailable, match="operation_timeout"):
        caller.waits()
    assert caller.repeatable("PING")
    caller.client.close()


def test_a_restarted_server_is_noticed_before_a_command_is_sent() -> None:
    with RedisServer() as restarted:
        caller = Caller(engine_settings(restarted))
        assert caller.once("INCR", "x") == 1
        restarted.restart()
        assert caller.once("INCR", "x") == 1
        caller.client.close()


def test_errors_of_the_method_itself_pass_unchanged(redis_server: RedisServer) -> None:
    class Faulty(Caller):
        @retried
        def fails(self) -> None:
            self.attempts += 1
            raise KeyError("own")
    caller = Faulty(engine_settings(redis_server))
    with pytest.raises(KeyError, match="own"):
        caller.fails()
    assert caller.attempts == 1


# Failures while running


def unavailable(caller: Caller, *command: Any) -> str:
    with pytest.raises(EngineUnavailable) as caught:
        caller.once(*command)
    return str(caught.value)


@pytest.fixture
def caller(server: RedisServer) -> Iterator[Caller]:
    caller = Caller(engine_settings(server, password="right"))
    yield caller
    caller.client.close()


def test_out_of_memory(caller: Caller, admin: redis.Redis) -> None:
    admin.config_set("maxmemory", 1000)
    try:
        assert "OutOfMemoryError" in unavailable(caller, "SET", "x", "1")
        assert "OutOfMemoryError" in unavailable(
            caller, "EVAL", "return redis.call('set', KEYS[1], 1)", 1, "x")
    finally:
        admin.config_set("maxmemory", 0)
    assert caller.once("SET", "x", "1") is True


def test_a_read_only_replica(caller: Caller, admin: redis.Redis) -> None:
    admin.replicaof("127.0.0.1", "1")
    try:
        assert "ReadOnlyError" in unavailable(caller, "SET", "x", "1")
    finally:
        admin.replicaof("NO", "ONE")


def test_too_few_replicas(caller: Caller, admin: redis.Redis) -> None:
    admin.config_set("min-replicas-to-write", 1)
    try:
        assert "NOREPLICAS" in unavailable(caller, "SET", "x", "1")
    finally:
        admin.config_set("min-replicas-to-write", 0)


def test_a_permission_lost(server: RedisServer) -> None:
    caller = Caller(engine_settings(server, username="noset", password="right"))
    assert "NoPermissionError" in unavailable(caller, "SET", "x", "1")
    unavailable(caller, "EVAL", "return redis.call('set', KEYS[1], 1)", 1, "x")
    caller.client.close()


def test_a_busy_server(caller: Caller, admin: redis.Redis) -> None:
    admin.config_set("busy-reply-threshold", 1)
    busy = Caller(caller._settings)

    def occupy() -> None:
        with contextlib.suppress(EngineError):
            busy.once("EVAL", "while true do end", 0)
    endless = threading.Thread(target=occupy)
    endless.start()
    killer = redis.Redis(port=caller._settings.port, password="right")

    def is_busy() -> bool:
        try:
            caller.once("PING")
        except EngineUnavailable as error:
            return "BUSY" in str(error)
        return False
    try:
        eventually(is_busy)
    finally:
        killer.script_kill()
        eventually(lambda: not is_busy())
        endless.join()
        admin.config_set("busy-reply-threshold", 5000)
        killer.close()


def test_a_password_set_meanwhile_and_taken_back() -> None:
    with RedisServer() as server, redis.Redis(port=server.port) as admin:
        caller = Caller(engine_settings(server))
        admin.config_set("requirepass", "new")
        assert "AuthenticationError" in unavailable(caller, "PING")
        with pytest.raises(EngineUnavailable):
            caller.repeatable("PING")
        assert caller.attempts == 2
        admin.config_set("requirepass", "")
        assert caller.once("PING") is True
        caller.client.close()


def test_a_fault_of_the_program_is_not_called_unavailable(caller: Caller) -> None:
    caller.once("SET", "string", "1")
    with pytest.raises(EngineError, match="WRONGTYPE") as caught:
        caller.once("LPUSH", "string", "1")
    assert type(caught.value) is EngineError


# Pub/sub connections


@pytest.fixture
def subscriber(redis_server: RedisServer) -> Iterator[Any]:
    settings = engine_settings(redis_server, read_timeout=0.1, write_timeout=0.1)
    client = create_subscriber_client(settings)
    connection: Any = client.connection_pool.make_connection()
    connection.connect()
    yield connection
    connection.disconnect()
    client.close()


def test_a_read_waits_longer_than_the_read_timeout(
        subscriber: Any, redis_server: RedisServer, namespace: str) -> None:
    subscriber.send_command("SUBSCRIBE", namespace)
    subscriber.read_response(timeout=PATIENCE)
    received: list[Any] = []
    reader = threading.Thread(
        target=lambda: received.append(subscriber.read_response(timeout=PATIENCE)))
    reader.start()
    reader.join(0.3)  # three times read_timeout
    assert received == []
    with redis.Redis(port=redis_server.port) as client:
        client.publish(namespace, "x")
    reader.join(PATIENCE)
    assert received == [[b"message", namespace.encode(), b"x"]]


def test_a_lost_subscription_is_an_error_and_not_healed_silently(
        subscriber: Any, redis_server: RedisServer, namespace: str) -> None:
    subscriber.send_command("SUBSCRIBE", namespace)
    subscriber.read_response(timeout=PATIENCE)
    with redis.Redis(port=redis_server.port) as client:
        client.client_kill_filter(_type="pubsub")
    with pytest.raises(redis.ConnectionError):
        subscriber.read_response(timeout=PATIENCE)


# Secrets


def text_of(function: Callable[[], object]) -> str:
    """The traceback, with all chained errors, that a call ends with."""
    try:
        function()
    except (EngineError, ConfigurationError) as error:
        return "".join(traceback.format_exception(error)) + repr(error)
    raise AssertionError("no error")


def test_no_secret_in_errors_logs_or_representations(
        server: RedisServer, redis_server: RedisServer,
        caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts = []
    cases: list[tuple[int, dict[str, Any]]] = [
        (server.port, {}), (server.port, {"username": "ann"}), (redis_server.port, {}), (1, {}),
        (server.port, {"database": 99}),
        (server.port, {"ssl": {"enabled": True}, "connect_timeout": 0.3})]
    for port, options in cases:
        settings = engine_settings(port, password=CANARY, **options)
        client = create_client(settings)
        texts.append(text_of(partial(check, client, settings)))
        texts.append(f"{client!r}{client.connection_pool!r}{settings!r}")
        texts.append(text_of(partial(Caller(settings).repeatable, "PING")))
    assert CANARY not in "".join(texts) + caplog.text


@pytest.mark.parametrize("quote", [
    "ERR unknown command 'AUTH', with args beginning with: '{}' ",
    "ERR unknown command `AUTH`, with args beginning with: `{}`, "])
def test_a_server_that_quotes_the_password_is_not_repeated(quote: str) -> None:
    with FakeServer(lambda command: f"-{quote.format(CANARY)}\r\n".encode()) as fake:
        settings = engine_settings(fake.port, password=CANARY)
        text = text_of(lambda: check(create_client(settings), settings))
        assert fake.commands[0] == [b"AUTH", CANARY.encode()]
    assert "unknown command" in text
    assert CANARY not in text


def test_messages_are_not_quoted_from_a_pipeline(caller: Caller) -> None:
    caller.once("SET", "string", "1")

    @translated()
    def push() -> None:
        pipeline = caller.client.pipeline(transaction=False)
        pipeline.lpush("string", CANARY)
        pipeline.execute()
    text = text_of(push)
    assert "WRONGTYPE" in text
    assert CANARY not in text


def test_no_error_of_redis_py_is_left_over(caller: Caller) -> None:
    with pytest.raises(EngineError) as caught:
        caller.once("NOSUCHCOMMAND")
    assert not isinstance(caught.value, RedisError)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(("gone", "attempts"), [(1, 2), (2, 2)])
def test_scripts_that_are_gone_when_a_pipeline_uses_them(
    redis_server: RedisServer, gone: int, attempts: int
) -> None:
    class Flushed(Caller):
        @retried
        def runs(self) -> None:
            self.attempts += 1
            if self.attempts <= gone:
                raise NoScriptError("No matching script.")

    caller = Flushed(engine_settings(redis_server))
    if gone == 1:
        caller.runs()
    else:
        with pytest.raises(EngineUnavailable):
            caller.runs()
    assert caller.attempts == attempts
    caller.client.close()
