"""Options: what is accepted, what is refused and what the refusal says."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faye_redis.errors import ConfigurationError
from faye_redis.settings import OPTIONS, EngineSettings, Settings, SslSettings

CANARY = "s3cr3t-canary"


def refused(mapping: Any, environ: dict[str, str] | None = None) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(mapping, environ)
    return caught.value


def engine(**options: Any) -> EngineSettings:
    return Settings.load({"engine": options}).engine


# Defaults


def test_the_defaults_are_those_of_faye_and_faye_redis_ng() -> None:
    assert Settings.load() == Settings(
        mount="/bayeux", timeout=25, interval=0, ping=25, extensions=(), allowed_origins=None,
        max_message_size=1048576, max_batch=100, max_depth=32, max_subscriptions=128,
        max_channel_length=255, max_connections=20000, drain_jitter=2, max_buffer=1048576,
        require_client_id=None,
        engine=EngineSettings(
            type="memory", url=None, host="localhost", port=6379, database=0, username=None,
            password=None, namespace="faye", pool_size=5, pool_timeout=5, connect_timeout=1,
            read_timeout=1, write_timeout=1, max_retries=3, retry_delay=1, operation_timeout=2.5,
            client_timeout=60, message_ttl=3600, subscription_ttl=3600, log_level="info",
            gc_interval=60, cleanup_batch_size=50, max_log=100000,
            restore_window=10,
            ssl=SslSettings(enabled=False, cert_file=None, key_file=None, ca_file=None,
                            verify=True, check_hostname=True)))


def test_loading_nothing_is_the_same_as_the_bare_dataclasses() -> None:
    assert Settings.load({}, {}) == Settings.load(None, None) == Settings()


@pytest.mark.parametrize(("given", "derived"), [
    ({"timeout": 45}, {"client_timeout": 90}),
    ({"timeout": 3000}, {"client_timeout": 6000, "message_ttl": 6000, "subscription_ttl": 6000}),
    ({"engine": {"client_timeout": 40}}, {"client_timeout": 40, "gc_interval": 40}),
    ({"engine": {"message_ttl": 7200}}, {"message_ttl": 7200, "subscription_ttl": 7200}),
    ({"engine": {"read_timeout": 4}}, {"read_timeout": 4, "operation_timeout": 10}),
    ({"engine": {"read_timeout": 0.1}}, {"read_timeout": 0.1, "operation_timeout": 2.5}),
])
def test_defaults_follow_the_options_they_depend_on(
        given: dict[str, Any], derived: dict[str, float]) -> None:
    loaded = Settings.load(given).engine
    assert {name: getattr(loaded, name) for name in derived} == derived


def test_the_table_has_a_row_for_every_option() -> None:
    assert len(OPTIONS) == 22 + 24 + 6
    row = OPTIONS["engine.ssl.ca_file"]
    assert (row.variable, row.default, row.redis) == ("FAYE_REDIS_SSL_CA_FILE", None, True)
    assert OPTIONS["extensions"].variable is OPTIONS["policy"].variable is None
    assert [name for name, row in OPTIONS.items() if row.secret] == ["engine.url",
                                                                      "engine.password"]
    assert all(row.help and "\n" not in row.help for row in OPTIONS.values())


# Unknown options


@pytest.mark.parametrize(("mapping", "message"), [
    ({"engine": {"naemspace": "x"}},
     "engine.naemspace: unknown option; did you mean engine.namespace?"),
    ({"mout": "/faye"}, "mout: unknown option; did you mean mount?"),
    ({"host": "localhost"}, "host: unknown option; did you mean engine.host?"),
    ({"engine": {"timeout": 5}}, "engine.timeout: unknown option; did you mean timeout?"),
    ({"engine": {"sll": {}}}, "engine.sll: unknown option; did you mean engine.ssl?"),
    ({"engine": {"ssl": {"cafile": "x"}}},
     "engine.ssl.cafile: unknown option; did you mean engine.ssl.ca_file?"),
    ({"xyzzy": 1}, "xyzzy: unknown option"),
    ({5: 1}, "5: unknown option"),
])
def test_an_unknown_option_is_refused_with_the_nearest_name(
        mapping: dict[str, Any], message: str) -> None:
    assert str(refused(mapping)) == message


@pytest.mark.parametrize(("mapping", "message"), [
    ("{}", "settings: must be a mapping of options, not this str"),
    ([], "settings: must be a mapping of options, not this list"),
    ({"engine": "redis"}, "engine: must be a mapping of options, not this str"),
    ({"engine": None}, "engine: must be a mapping of options, not None"),
    ({"engine": {"ssl": True}}, "engine.ssl: must be a mapping of options, not True"),
])
def test_what_is_no_mapping_is_refused(mapping: Any, message: str) -> None:
    assert str(refused(mapping)) == message


# Wrong values

WRONG: dict[str, list[Any]] = {
    "mount": [None, 5, "/a b", "/a?b", "/a#b", "/ü", "/%41"],
    "timeout": [0, -1, math.nan, math.inf, True, "25", None, 1e12, False],
    "interval": [-1, math.nan, False, "0"],
    "ping": [-1, math.nan, True, "25"],
    "extensions": ["x", object(), [object()], {"incoming": 1}],
    "allowed_origins": ["https://a.org", True, ["a.org"], ["https://a.org/"], ["*"], [5],
                        ["https://*.a.org"], ["https://a.org, https://b.org"], ["https://A b"]],
    "max_message_size": [0, -1, 1.5, True, "1"],
    "max_batch": [0, -1, True, "1"],
    "max_depth": [0, 255],
    "max_subscriptions": [0, -1, 1.5, True],
    "max_wildcards": [-1, 1.5, True, None],
    "max_channel_length": [0, True],
    "max_channel_segments": [0, -1, True],
    "max_message_rate": [-1, 0.001, 1e10, math.nan, math.inf, True, "5"],
    "max_handshake_rate": [-1, 0.001, math.nan, True, "5"],
    "body_timeout": [0, -1, math.nan, math.inf, True, False, None, "10"],
    "max_connections": [0],
    "drain_jitter": [-1],
    "max_buffer": [0, True],
    "require_client_id": [1, "yes"], "policy": [object(), lambda attempt: True],
    "bind_clients": ["user", 1, True],
    "engine.type": ["Redis", "", None, 1],
    "engine.host": ["", "redis://h", "user@h", 5, None],
    "engine.port": [0, 70000, "x", "6379", True, 1.0, None, -1],
    "engine.database": [-1, "a", True, 1.0],
    "engine.username": ["", 5],
    "engine.password": ["", 5, True],
    "engine.namespace": ["", "a*", "a:b", "a b", "{x}", "é", "x" * 65, "a\n", None],
    "engine.pool_size": [0, True, 2.0],
    "engine.pool_timeout": [0, -1, math.nan, True],
    "engine.connect_timeout": [0, -1, math.nan, True, math.inf],
    "engine.read_timeout": [0, -1, math.nan, True],
    "engine.write_timeout": [0, -1, math.nan, True],
    "engine.max_retries": [-1, True, 1.0],
    "engine.retry_delay": [-1, math.nan, True],
    "engine.operation_timeout": [0, math.nan],
    "engine.client_timeout": [0, math.nan, True],
    "engine.message_ttl": [0, -1],
    "engine.subscription_ttl": [0],
    "engine.restore_window": [-1, True, math.nan, "10"],
    "engine.log_level": ["warn", "INFO", 1],
    "engine.gc_interval": [-1, True, math.nan],
    "engine.cleanup_batch_size": [1.5, True, "50"],
    "engine.max_log": [0],
    "engine.ssl.enabled": [1, "true", None],
    **{f"engine.ssl.{name}_file": ["", 5, b"x"] for name in ("ca", "cert", "key")},
    "engine.ssl.verify": [0, None],
    "engine.ssl.check_hostname": [1, "no", None],
}


def test_every_option_has_a_wrong_value() -> None:
    assert set(OPTIONS) - set(WRONG) == {"engine.url"}  # it has a table of its own


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_a_wrong_value_is_refused_with_the_rule(name: str, value: Any) -> None:
    *sections, leaf = name.split(".")
    mapping: dict[str, Any] = {leaf: value}
    for section in reversed(sections):
        mapping = {section: mapping}
    error = refused(mapping)
    assert error.option == name
    assert error.problem.startswith(f"must be {OPTIONS[name].kind.rule}, not ")


def test_errors_show_numbers_and_rules_in_words() -> None:
    assert str(refused({"engine": {"port": 70000}})) == (
        "engine.port: must be a whole number from 1 to 65535, not 70000")
    assert str(refused({"timeout": True})) == (
        "timeout: must be a number of seconds above 0 to 31536000, not True")


def test_values_are_put_into_their_usual_form() -> None:
    class Extension:
        def incoming(self, message: Any, callback: Any) -> None: ...
    extension = Extension()
    loaded = Settings.load({
        "extensions": [extension], "allowed_origins": ["https://a.org", "http://b.org:8000"],
        "ping": False, "engine": {"gc_interval": False, "cleanup_batch_size": 10**6}})
    assert loaded.extensions == (extension,)
    assert loaded.allowed_origins == ("https://a.org", "http://b.org:8000")
    assert (loaded.ping, loaded.engine.gc_interval) == (0, 0)
    assert loaded.engine.cleanup_batch_size == 1000
    assert engine(cleanup_batch_size=-1).cleanup_batch_size == 1
    assert Settings.load({"ping": None}).ping == 0


@pytest.mark.parametrize(("given", "kept"), [
    ("/faye", "/faye"), ("faye", "/faye"), ("/faye/", "/faye"), ("/a/b", "/a/b"),
    ("/", "/"), ("", "/"),
])
def test_the_mount_gets_a_leading_and_no_trailing_slash(given: str, kept: str) -> None:
    assert Settings.load({"mount": given}).mount == kept


def test_settings_are_copied() -> None:
    origins, options = ["https://a.org"], {"type": "redis", "port": 7000}
    mapping: dict[str, Any] = {"allowed_origins": origins, "engine": options}
    loaded = Settings.load(mapping)
    origins.append("https://evil.org")
    options["port"] = 1
    mapping["mount"] = "/other"
    assert (loaded.allowed_origins, loaded.engine.port) == (("https://a.org",), 7000)
    assert loaded.mount == "/bayeux"
    with pytest.raises(AttributeError):
        loaded.engine.port = 1  # type: ignore[misc]


# Rules between options


@pytest.mark.parametrize(("mapping", "message"), [
    ({"engine": {"client_timeout": 34.9}},
     "engine.client_timeout: must be at least timeout + 10 (35), not 34.9"),
    ({"timeout": 55, "engine": {"client_timeout": 60}},
     "engine.client_timeout: must be at least timeout + 10 (65), not 60"),
    ({"engine": {"message_ttl": 59}},
     "engine.message_ttl: must be at least engine.client_timeout (60), not 59"),
    ({"engine": {"message_ttl": 100, "subscription_ttl": 99}},
     "engine.subscription_ttl: must be at least engine.message_ttl (100), not 99"),
    ({"engine": {"gc_interval": 61}},
     "engine.gc_interval: must be at most engine.client_timeout (60), or 0 for none"),
    ({"engine": {"read_timeout": 3, "operation_timeout": 2}},
     "engine.operation_timeout: must be at least engine.read_timeout (3), not 2"),
])
def test_options_that_contradict_each_other_are_refused(
        mapping: dict[str, Any], message: str) -> None:
    assert str(refused(mapping)) == message


def test_limits_of_the_rules_are_allowed() -> None:
    loaded = Settings.load({"timeout": 45, "engine": {"client_timeout": 55, "gc_interval": 55,
                                                      "message_ttl": 55, "subscription_ttl": 55}})
    assert loaded.engine.client_timeout == 55


# Engine type


@pytest.mark.parametrize(("options", "kind"), [
    ({}, "memory"),
    ({"client_timeout": 90}, "memory"),
    ({"host": "localhost"}, "redis"),
    ({"url": "redis://h"}, "redis"),
    ({"password": None}, "memory"),
    ({"ssl": {"enabled": False}}, "redis"),
    ({"namespace": "app"}, "redis"),
    ({"type": "memory", "host": "h"}, "memory"),
    ({"type": "redis"}, "redis"),
])
def test_the_type_follows_from_the_options(options: dict[str, Any], kind: str) -> None:
    assert engine(**options).type == kind


# URL


def place(url: str, **options: Any) -> tuple[Any, ...]:
    e = engine(url=url, **options)
    return e.host, e.port, e.database, e.username, e.password, e.ssl.enabled


@pytest.mark.parametrize(("url", "expected"), [
    ("redis://h", ("h", 6379, 0, None, None, False)),
    ("redis://", ("localhost", 6379, 0, None, None, False)),
    ("redis://h:7000/3", ("h", 7000, 3, None, None, False)),
    ("redis://h/?db=4", ("h", 6379, 4, None, None, False)),
    ("redis://u:p%2F%40@h", ("h", 6379, 0, "u", "p/@", False)),
    ("redis://:pw@h", ("h", 6379, 0, None, "pw", False)),
    ("redis://[::1]:7000", ("::1", 7000, 0, None, None, False)),
    ("rediss://u:p@h:6380/1", ("h", 6380, 1, "u", "p", True)),
    ("unix:///run/redis.sock?db=2", ("/run/redis.sock", 6379, 2, None, None, False)),
    ("unix://u:p@/run/redis.sock", ("/run/redis.sock", 6379, 0, "u", "p", False)),
])
def test_a_url_fills_the_place(url: str, expected: tuple[Any, ...]) -> None:
    assert place(url) == expected


def test_explicit_options_win_over_the_url() -> None:
    assert place("rediss://u:p@h:1/1", host="x", port=2, database=3, username="y", password="z",
                 ssl={"enabled": False}) == ("x", 2, 3, "y", "z", False)


def test_a_url_carries_tls_options(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    pem.touch()
    e = engine(url=f"rediss://h?ssl_ca_certs={pem}&ssl_certfile={pem}&ssl_keyfile={pem}"
                   "&ssl_check_hostname=false&ssl_cert_reqs=none")
    assert e.ssl == SslSettings(True, str(pem), str(pem), str(pem), False, False)


@pytest.mark.parametrize(("url", "problem"), [
    ("http://h", "must be a valid redis://"),
    ("localhost:6379", "must be a valid redis://"),
    ("redis+sentinel://h/mymaster", "Sentinel and Cluster are not supported"),
    ("redis+cluster://h", "Sentinel and Cluster are not supported"),
    ("redis://h/x", "must be redis://user"),
    ("redis://h/1/2", "must be redis://user"),
    ("redis://h:0", "must be redis://user"),
    ("redis://h:99999", "must be a valid redis://"),
    (f"redis://:{CANARY}/x@h", "must be a valid redis://"),
    (f"redis://:1#{CANARY}@h", "must be redis://user"),
    ("redis://h?db=x", "must be a valid redis://"),
    ("redis://h?ssl_ca_cert=x", "unknown query option; did you mean ssl_ca_certs?"),
    (f"redis://h?zzz={CANARY}", "unknown query option"),
    ("rediss://h?ssl_cert_reqs=optional", "ssl_cert_reqs must be none or required"),
    ("unix://", "must be redis://user"),
    ("unix://redis.sock", "must be redis://user"),
])
def test_a_wrong_url_is_refused(url: str, problem: str) -> None:
    error = refused({"engine": {"url": url}})
    assert error.option == "engine.url"
    assert error.problem.startswith(problem)
    assert CANARY not in str(error)


# TLS


def test_tls_files_must_be_readable(tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    for name in ("cert_file", "ca_file"):
        error = refused({"engine": {"ssl": {"enabled": True, name: missing}}})
        assert str(error) == f"engine.ssl.{name}: cannot be read: No such file or directory"
    error = refused({"engine": {"ssl": {"enabled": True, "ca_file": str(tmp_path)}}})
    assert str(error) == "engine.ssl.ca_file: cannot be read: Is a directory"


def test_tls_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.touch()
    assert str(refused({"engine": {"ssl": {"ca_file": pem}}})) == (
        "engine.ssl.enabled: must be given, too, when engine.ssl.ca_file is")
    assert str(refused({"engine": {"ssl": {"enabled": True, "key_file": pem}}})) == (
        "engine.ssl.cert_file: must be given, too, when key_file is")
    assert str(refused({"engine": {"host": "/run/x", "ssl": {"enabled": True}}})) == (
        "engine.ssl.enabled: a Unix socket has no TLS")
    assert engine(ssl={"enabled": False, "ca_file": "/none"}).ssl.ca_file == "/none"


@pytest.mark.parametrize(("mapping", "start"), [
    ({"engine": {"ssl": {"enabled": True, "verify": False}}}, "engine.ssl.verify is off"),
    ({"allowed_origins": "*"}, 'allowed_origins is "*"'),
    ({"engine": {"gc_interval": 0}}, "engine.gc_interval is off"),
])
def test_dangerous_choices_warn(
        mapping: dict[str, Any], start: str, caplog: pytest.LogCaptureFixture) -> None:
    Settings.load(mapping)
    assert [(r.name, r.levelname) for r in caplog.records] == [("faye_redis", "WARNING")]
    assert caplog.records[0].getMessage().startswith(start)


def test_safe_choices_do_not_warn(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Settings.load({"engine": {"ssl": {"enabled": True}}})
        Settings.load({"engine": {"ssl": {"verify": False}}})
    assert caplog.records == []


# Environment

VALID = {
    "FAYE_REDIS_MOUNT": ("faye", "/faye"), "FAYE_REDIS_TIMEOUT": ("30", 30),
    "FAYE_REDIS_INTERVAL": ("0.5", 0.5), "FAYE_REDIS_PING": ("off", 0),
    "FAYE_REDIS_ALLOWED_ORIGINS": ("https://a.org, http://b.org",
                                   ("https://a.org", "http://b.org")),
    "FAYE_REDIS_MAX_MESSAGE_SIZE": ("1000", 1000), "FAYE_REDIS_MAX_BATCH": ("7", 7),
    "FAYE_REDIS_MAX_WILDCARDS": ("0", 0), "FAYE_REDIS_MAX_CHANNEL_SEGMENTS": ("3", 3),
    "FAYE_REDIS_MAX_MESSAGE_RATE": ("0.5", 0.5), "FAYE_REDIS_MAX_HANDSHAKE_RATE": ("off", 0),
    "FAYE_REDIS_BODY_TIMEOUT": ("2.5", 2.5), "FAYE_REDIS_BIND_CLIENTS": ("cookie", "cookie"),
    "FAYE_REDIS_MAX_DEPTH": ("7", 7), "FAYE_REDIS_MAX_SUBSCRIPTIONS": ("7", 7),
    "FAYE_REDIS_MAX_CHANNEL_LENGTH": ("7", 7), "FAYE_REDIS_MAX_CONNECTIONS": ("7", 7),
    "FAYE_REDIS_DRAIN_JITTER": ("0", 0), "FAYE_REDIS_MAX_BUFFER": ("7", 7),
    "FAYE_REDIS_REQUIRE_CLIENT_ID": ("true", True), "FAYE_REDIS_TYPE": ("memory", "memory"),
    "FAYE_REDIS_URL": ("redis://h", "redis://h"), "FAYE_REDIS_HOST": ("h", "h"),
    "FAYE_REDIS_PORT": ("7000", 7000), "FAYE_REDIS_DATABASE": ("2", 2),
    "FAYE_REDIS_USERNAME": ("u", "u"), "FAYE_REDIS_PASSWORD": ("p", "p"),
    "FAYE_REDIS_NAMESPACE": ("app", "app"), "FAYE_REDIS_POOL_SIZE": ("7", 7),
    "FAYE_REDIS_POOL_TIMEOUT": ("2", 2), "FAYE_REDIS_CONNECT_TIMEOUT": ("2", 2),
    "FAYE_REDIS_READ_TIMEOUT": ("2", 2), "FAYE_REDIS_WRITE_TIMEOUT": ("2", 2),
    "FAYE_REDIS_MAX_RETRIES": ("0", 0), "FAYE_REDIS_RETRY_DELAY": ("0.1", 0.1),
    "FAYE_REDIS_OPERATION_TIMEOUT": ("5", 5), "FAYE_REDIS_CLIENT_TIMEOUT": ("90", 90),
    "FAYE_REDIS_MESSAGE_TTL": ("600", 600), "FAYE_REDIS_SUBSCRIPTION_TTL": ("7200", 7200),
    "FAYE_REDIS_RESTORE_WINDOW": ("off", 0),
    "FAYE_REDIS_LOG_LEVEL": ("debug", "debug"), "FAYE_REDIS_GC_INTERVAL": ("False", 0),
    "FAYE_REDIS_CLEANUP_BATCH_SIZE": ("5000", 1000), "FAYE_REDIS_MAX_LOG": ("7", 7),
    "FAYE_REDIS_SSL_ENABLED": ("no", False),
    "FAYE_REDIS_SSL_VERIFY": ("0", False), "FAYE_REDIS_SSL_CHECK_HOSTNAME": ("off", False),
}


def value_of(variable: str, settings: Settings) -> Any:
    option = next(row for row in OPTIONS.values() if row.variable == variable)
    value: Any = settings
    for name in option.name.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("variable", VALID)
def test_every_scalar_option_has_a_variable(variable: str) -> None:
    text, value = VALID[variable]
    assert value_of(variable, Settings.load(None, {variable: text})) == value


def test_tls_files_have_variables(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.touch()
    files = {f"FAYE_REDIS_SSL_{name}_FILE": str(pem) for name in ("CA", "CERT", "KEY")}
    loaded = Settings.load(None, {"FAYE_REDIS_SSL_ENABLED": "1", **files})
    assert loaded.engine.ssl == SslSettings(True, str(pem), str(pem), str(pem))
    assert set(VALID) | set(files) == {row.variable for row in OPTIONS.values() if row.variable}


@pytest.mark.parametrize(("variable", "text", "message"), [
    ("FAYE_REDIS_PORT", "x",
     "engine.port: must be a whole number from 1 to 65535 (from FAYE_REDIS_PORT)"),
    ("FAYE_REDIS_PORT", "0",
     "engine.port: must be a whole number from 1 to 65535 (from FAYE_REDIS_PORT)"),
    ("FAYE_REDIS_TIMEOUT", "nan",
     "timeout: must be a number of seconds above 0 to 31536000 (from FAYE_REDIS_TIMEOUT)"),
    ("FAYE_REDIS_SSL_ENABLED", "maybe",
     "engine.ssl.enabled: must be True or False (from FAYE_REDIS_SSL_ENABLED)"),
    ("FAYE_REDIS_NAEMSPACE", "x",
     "FAYE_REDIS_NAEMSPACE: unknown variable; did you mean FAYE_REDIS_NAMESPACE?"),
])
def test_a_wrong_variable_is_refused(variable: str, text: str, message: str) -> None:
    assert str(refused(None, {variable: text})) == message


def test_extensions_have_no_variable() -> None:
    assert refused(None, {"FAYE_REDIS_EXTENSIONS": "x"}).option == "FAYE_REDIS_EXTENSIONS"


def test_other_and_empty_variables_do_not_count() -> None:
    assert Settings.load({}, {"PATH": "/bin", "FAYE": "x", "FAYE_REDIS_URL": "",
                              "FAYE_REDIS_PASSWORD": " "}) == Settings()


@pytest.mark.parametrize(("environ", "kind"), [
    ({"FAYE_REDIS_URL": "redis://h"}, "redis"), ({"FAYE_REDIS_PORT": "7000"}, "redis"),
    ({"FAYE_REDIS_MOUNT": "/x"}, "memory"),
    ({"FAYE_REDIS_URL": "redis://h", "FAYE_REDIS_TYPE": "memory"}, "memory"),
])
def test_the_type_follows_from_the_variables(environ: dict[str, str], kind: str) -> None:
    assert Settings.load(None, environ).engine.type == kind


def test_the_mapping_wins_over_the_environment() -> None:
    environ = {"FAYE_REDIS_MOUNT": "/env", "FAYE_REDIS_URL": "redis://env:7000/3",
               "FAYE_REDIS_PASSWORD": "p", "FAYE_REDIS_TIMEOUT": "30"}
    loaded = Settings.load({"mount": "/map", "engine": {"database": 5}}, environ)
    assert (loaded.mount, loaded.timeout) == ("/map", 30)
    e = loaded.engine
    assert (e.type, e.host, e.port, e.database, e.password) == ("redis", "env", 7000, 5, "p")
    assert Settings.load({"engine": {"type": "memory"}}, environ).engine.type == "memory"


def test_a_url_in_the_mapping_replaces_the_whole_place_of_the_environment() -> None:
    environ = {"FAYE_REDIS_HOST": "env", "FAYE_REDIS_PORT": "7000", "FAYE_REDIS_DATABASE": "3",
               "FAYE_REDIS_PASSWORD": "p"}
    e = Settings.load({"engine": {"url": "redis://map"}}, environ).engine
    assert (e.host, e.port, e.database, e.password) == ("map", 6379, 0, "p")


# Secrets


def test_no_secret_in_any_text_of_the_settings() -> None:
    loaded = Settings.load({"engine": {"url": f"redis://u:{CANARY}1@h", "password": CANARY}})
    assert loaded.engine.password == CANARY
    assert CANARY not in repr(loaded) + str(loaded) + f"{loaded.engine!s}{loaded.engine!r}"


@pytest.mark.parametrize("mapping", [
    {"engine": {"password": CANARY, "port": 0}},
    {"engine": {"password": [CANARY]}},
    {"engine": {"port": CANARY}},
    {"engine": {"host": f"redis://:{CANARY}@h"}},
    {"engine": {"url": f"redis://:{CANARY}@h:port"}},
    {"engine": {"namespace": f"{CANARY}!"}},
    {"engine": CANARY},
])
def test_no_secret_in_a_refusal(mapping: dict[str, Any]) -> None:
    error = refused(mapping)
    assert CANARY not in f"{error}{error!r}"
    assert error.__context__ is None or error.__suppress_context__


def test_no_secret_number_in_a_refusal() -> None:
    assert str(refused({"engine": {"password": 12345678}})) == (
        "engine.password: must be a non-empty string, not this int")


def test_no_secret_of_the_environment_in_a_refusal() -> None:
    for variable in ("FAYE_REDIS_URL", "FAYE_REDIS_PORT", "FAYE_REDIS_HOST"):
        assert CANARY not in str(refused(None, {variable: f"http://:{CANARY}@h"}))


# Purity


def test_neither_gevent_nor_redis_is_imported() -> None:
    code = ("import sys, faye_redis.settings as s; s.Settings.load({'engine': {'host': 'h'}});"
            "print({'gevent', 'redis'} & set(sys.modules))")
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root,
                          env={**os.environ, "PYTHONPATH": str(root)}, check=True)
    assert done.stdout == "set()\n"
