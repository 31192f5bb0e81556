"""Every option of the adapter, the engine and its TLS connection, checked before anything starts.

The three dataclasses are the one table of options: name, default, rule and help stand in one
place, and :data:`OPTIONS` is the same table as data (the README's is made from it).

    settings = Settings.load({"mount": "/faye", "engine": {"url": "redis://localhost"}}, os.environ)

Options come from a mapping (nested: ``engine``, and ``ssl`` in it) and from environment variables
named ``FAYE_REDIS_<OPTION>`` (``FAYE_REDIS_PORT``, ``FAYE_REDIS_SSL_CA_FILE``); the mapping wins.
Names and defaults are those of faye-redis-ng and of Faye's adapter where these have the option.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from . import urls
from .bayeux.policy import Policy
from .errors import ConfigurationError
from .options import (
    Kind,
    Option,
    binding,
    choice,
    extensions,
    file,
    flag,
    mount,
    nearest,
    origins,
    policy,
    rate,
    seconds,
    shown,
    text,
    whole,
)

__all__ = ["OPTIONS", "EngineSettings", "Settings", "SslSettings"]

log = logging.getLogger("faye_redis")


def _about(kind: Kind, help: str, redis: bool = False) -> dict[str, Any]:
    """Metadata of an option; ``redis``: only a Redis engine uses it."""
    return {"kind": kind, "help": help, "redis": redis}


@dataclass(frozen=True)
class SslSettings:
    """TLS towards Redis."""

    enabled: bool = field(default=False, metadata=_about(
        flag(), "Connect by TLS (`rediss://` turns it on)", True))
    cert_file: str | None = field(default=None, metadata=_about(
        file(), "Client certificate", True))
    key_file: str | None = field(default=None, metadata=_about(
        file(), "Private key of the client certificate, if it is not in `cert_file`", True))
    ca_file: str | None = field(default=None, metadata=_about(
        file(), "Authorities to trust instead of the system's", True))
    verify: bool = field(default=True, metadata=_about(
        flag(), "Verify the server's certificate", True))
    check_hostname: bool = field(default=True, metadata=_about(
        flag(), "Compare the certificate's names with `host`", True))


@dataclass(frozen=True)
class EngineSettings:
    """Where clients, subscriptions and messages are kept. Times are in seconds."""

    type: str = field(default="memory", metadata=_about(
        choice("memory", "redis"),
        "`memory` (one process) or `redis` (the default once an option only Redis has is given)"))
    url: str | None = field(default=None, repr=False, metadata=_about(
        text("a Redis URL"),
        "`redis://`, `rediss://` or `unix://` in place of host, port, database, username, password",
        True))
    host: str = field(default="localhost", metadata=_about(
        text("a host name, an IP address or the absolute path of a Unix socket",
              r"/.+|[\w.:%-]+"),
        "Host name or address of Redis, or the absolute path of its Unix socket", True))
    port: int = field(default=6379, metadata=_about(whole(1, 65535), "Port of Redis", True))
    database: int = field(default=0, metadata=_about(whole(0), "Database number", True))
    username: str | None = field(default=None, metadata=_about(
        text("a non-empty string"), "ACL user", True))
    password: str | None = field(default=None, repr=False, metadata=_about(
        text("a non-empty string"), "Password", True))
    namespace: str = field(default="faye", metadata=_about(
        text("1 to 64 of the characters A-Z a-z 0-9 _ . -", r"[A-Za-z0-9_.-]{1,64}"),
        "Prefix of every key; servers with the same one are one cluster", True))
    pool_size: int = field(default=5, metadata=_about(
        whole(1), "Connections of the pool, per worker; three more publish, read and listen", True))
    pool_timeout: float = field(default=5, metadata=_about(
        seconds(), "Longest wait for a free connection (`operation_timeout` ends it, too)", True))
    connect_timeout: float = field(default=1, metadata=_about(
        seconds(), "Longest wait for a new connection", True))
    read_timeout: float = field(default=1, metadata=_about(
        seconds(), "Longest wait for a reply", True))
    write_timeout: float = field(default=1, metadata=_about(
        seconds(), "Longest wait until a command is sent", True))
    max_retries: int = field(default=3, metadata=_about(
        whole(0, 1000), "Repetitions of a failed call that is safe to repeat", True))
    retry_delay: float = field(default=1, metadata=_about(
        seconds(zero=True), "Base of the growing random pause before a repetition", True))
    operation_timeout: float = field(default=2.5, metadata=_about(
        seconds(), "Longest engine call, repetitions included (default: 2.5 times the longest of "
                    "the connect, read and write timeouts, at least 2.5)", True))
    client_timeout: float = field(default=60, metadata=_about(
        seconds(), "A client not seen for so long has left; at least `timeout` + 10 "
                    "(default: the larger of 60 and 2 times `timeout`)"))
    message_ttl: float = field(default=3600, metadata=_about(
        seconds(), "Longest life of a message nobody fetched; at least `client_timeout`"))
    subscription_ttl: float = field(default=3600, metadata=_about(
        seconds(), "Life of the subscriptions of a client not seen; at least `message_ttl`"))
    restore_window: float = field(default=10, metadata=_about(
        seconds(off=True), "How long clients are put back from memory after Redis lost its data; "
        "0 or False: not at all"))
    log_level: str = field(default="info", metadata=_about(
        choice("silent", "error", "info", "debug"), "How much the `faye_redis` logger tells"))
    gc_interval: float = field(default=60, metadata=_about(
        seconds(off=True), "Pause between clean-ups; at most `client_timeout`; 0 or False: none"))
    cleanup_batch_size: int = field(default=50, metadata=_about(
        whole(1, 1000, clamp=True), "Clients removed by one clean-up step (1 to 1000)"))
    max_log: int = field(default=100_000, metadata=_about(
        whole(1), "Messages kept per channel"))
    ssl: SslSettings = field(default_factory=SslSettings)


@dataclass(frozen=True)
class Settings:
    """Options of the adapter. Times are in seconds, sizes in bytes."""

    mount: str = field(default="/bayeux", metadata=_about(
        mount(), "URL path of the server"))
    timeout: float = field(default=25, metadata=_about(
        seconds(), "How long a `/meta/connect` is held open"))
    interval: float = field(default=0, metadata=_about(
        seconds(zero=True), "Pause a client makes before it connects again"))
    ping: float = field(default=25, metadata=_about(
        seconds(off=True), "Pause between pings on idle sockets; 0, None or False: none"))
    extensions: tuple[Any, ...] = field(default=(), metadata=_about(
        extensions(), "Extensions (objects with `incoming`, `outgoing`), in order"))
    allowed_origins: str | tuple[str, ...] | None = field(default=None, metadata=_about(
        origins(), 'Web origins that may connect: None is the same origin, `"*"` any'))
    max_message_size: int = field(default=1_048_576, metadata=_about(
        whole(1), "Largest request body or WebSocket message"))
    max_batch: int = field(default=100, metadata=_about(
        whole(1), "Bayeux messages in one request"))
    max_depth: int = field(default=32, metadata=_about(
        whole(1, 254), "Nesting of JSON"))
    max_subscriptions: int = field(default=128, metadata=_about(
        whole(1), "Subscriptions of one client"))
    max_wildcards: int = field(default=32, metadata=_about(
        whole(0), "Subscriptions of one client to patterns; they count as subscriptions, too"))
    max_channel_length: int = field(default=255, metadata=_about(
        whole(1), "Characters in a channel name"))
    max_channel_segments: int = field(default=16, metadata=_about(
        whole(1), "Segments of a channel name: `/a/b` has two"))
    max_message_rate: float = field(default=0, metadata=_about(
        rate(), "Messages a second of one client on one worker, connects and handshakes aside; 4 "
                "seconds' worth may come at once. 0 or False: any number"))
    max_handshake_rate: float = field(default=2000, metadata=_about(
        rate(), "Handshakes a second on one worker, likewise"))
    body_timeout: float = field(default=10, metadata=_about(
        seconds(), "Longest time a client may take to send the body of a request"))
    max_connections: int = field(default=20_000, metadata=_about(
        whole(1), "Open sockets per worker"))
    drain_jitter: float = field(default=2, metadata=_about(
        seconds(zero=True), "A stopping worker closes its sockets spread over this time"))
    max_buffer: int = field(default=1_048_576, metadata=_about(
        whole(1), "Bytes waiting for one slow socket"))
    require_client_id: bool | None = field(default=None, metadata=_about(
        flag(), "Refuse a publish without the id of a connected client (None: if the policy has "
                "rules for handshakes)"))
    policy: Policy | None = field(default=None, metadata=_about(
        policy(), "Who may shake hands, subscribe and publish: a `Policy`"))
    bind_clients: str | Callable[[Any], str | None] | None = field(default=None, metadata=_about(
        binding(), 'What all requests of a client have to show: None nothing, `"cookie"` a cookie '
                   "that its handshake sets, or a function from the WSGI environ to a user's name"))
    engine: EngineSettings = field(default_factory=EngineSettings)

    @classmethod
    def load(cls, mapping: Mapping[str, Any] | None = None,
             environ: Mapping[str, str] | None = None) -> Settings:
        """Check and copy all options.

        :param mapping: options by name; later changes to it have no effect.
        :param environ: environment variables; None reads none.
        :raises ConfigurationError: an option is unknown or wrong. The text names the option and
            the rule or the nearest right name, never a string that was given (it may be secret).
        """
        given = _with_url(_from_environ(environ or {}))
        given |= _with_url(_from_mapping("", {} if mapping is None else mapping))
        values = {name: option.default for name, option in OPTIONS.items()}
        values |= _derived(given) | given
        _cross_check(values)
        _check_tls(values, "engine.ssl.enabled" in given)
        _warn(values)
        ssl = SslSettings(**_section("engine.ssl.", values))
        engine = EngineSettings(ssl=ssl, **_section("engine.", values))
        return cls(engine=engine, **_section("", values))


_SECTIONS: dict[str, Any] = {"": Settings, "engine.": EngineSettings, "engine.ssl.": SslSettings}


def _options() -> Iterable[Option]:
    for prefix, section in _SECTIONS.items():
        for item in fields(section):
            if item.metadata:
                name, kind = prefix + item.name, item.metadata["kind"]
                variable = "FAYE_REDIS_" + name.removeprefix("engine.").replace(".", "_").upper()
                yield Option(name, variable if kind.parse else None, item.default, kind,
                             item.metadata["help"], not item.repr, item.metadata["redis"])


OPTIONS: dict[str, Option] = {option.name: option for option in _options()}
"""Every option by its full name, in the order of the table."""

_VARIABLES = {option.variable: option for option in OPTIONS.values() if option.variable}
_SHORT_NAMES = {name.rstrip(".").rpartition(".")[2]: name.rstrip(".")
                for name in (*OPTIONS, "engine.", "engine.ssl.")}


def _from_mapping(prefix: str, mapping: Any) -> dict[str, Any]:
    if not isinstance(mapping, Mapping):
        raise ConfigurationError(prefix.rstrip(".") or "settings",
                                 f"must be a mapping of options, not {shown(mapping)}")
    given: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if f"{name}." in _SECTIONS:
            given |= _from_mapping(f"{name}.", value)
        elif name in OPTIONS:
            given[name] = OPTIONS[name].convert(value)
        else:
            raise ConfigurationError(name, "unknown option" + nearest(str(key), _SHORT_NAMES))
    return given


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    """Options set by variables; an empty variable counts as not set."""
    given = {}
    for variable in sorted(name for name in environ if name.startswith("FAYE_REDIS_")):
        option = _VARIABLES.get(variable)
        if option is None:
            names = {name: name for name in _VARIABLES}
            raise ConfigurationError(variable, "unknown variable" + nearest(variable, names))
        if value := environ[variable].strip():
            given[option.name] = option.parse(value)
    return given


def _with_url(given: dict[str, Any]) -> dict[str, Any]:
    """``given`` with what its URL says put in where it is not given explicitly.

    A URL says all about the place, by default where it is silent: two sources are not mixed.
    """
    url = given.get("engine.url")
    if url is None:
        return given
    place = {name: OPTIONS[name].default
             for name in ("engine.host", "engine.port", "engine.database")}
    for key, value in urls.parse(url).items():
        place[f"engine.{key}"] = OPTIONS[f"engine.{key}"].convert(value)
    return place | given


def _derived(given: dict[str, Any]) -> dict[str, Any]:
    """Defaults that depend on other options."""
    def value(name: str) -> Any:
        return given.get(name, OPTIONS[name].default)
    client_timeout = given.get("engine.client_timeout", max(60, 2 * value("timeout")))
    message_ttl = given.get("engine.message_ttl", max(3600, client_timeout))
    redis = any(OPTIONS[name].redis for name in given if given[name] is not None)
    slowest = max(value(f"engine.{step}_timeout") for step in ("connect", "read", "write"))
    return {
        "engine.type": "redis" if redis else "memory",
        "engine.operation_timeout": max(2.5, 2.5 * slowest),
        "engine.client_timeout": client_timeout,
        "engine.message_ttl": message_ttl,
        "engine.subscription_ttl": max(3600, message_ttl),
        "engine.gc_interval": min(60, client_timeout),
    }


def _cross_check(values: dict[str, Any]) -> None:
    def at_least(name: str, bound: float, meaning: str) -> None:
        if values[name] < bound:
            raise ConfigurationError(
                name, f"must be at least {meaning} ({bound:g}), not {values[name]:g}")
    at_least("engine.client_timeout", values["timeout"] + 10, "timeout + 10")
    at_least("engine.message_ttl", values["engine.client_timeout"], "engine.client_timeout")
    at_least("engine.subscription_ttl", values["engine.message_ttl"], "engine.message_ttl")
    for step in ("connect", "read", "write"):
        name = f"engine.{step}_timeout"
        at_least("engine.operation_timeout", values[name], name)
    if values["engine.gc_interval"] > values["engine.client_timeout"]:
        raise ConfigurationError("engine.gc_interval", "must be at most engine.client_timeout "
                                 f"({values['engine.client_timeout']:g}), or 0 for none")


def _check_tls(values: dict[str, Any], decided: bool) -> None:
    files = [f"engine.ssl.{name}_file" for name in ("cert", "key", "ca")]
    named = [name for name in files if values[name] is not None]
    if named and not decided:
        raise ConfigurationError("engine.ssl.enabled", f"must be given, too, when {named[0]} is")
    if not values["engine.ssl.enabled"]:
        return
    if values["engine.host"].startswith("/"):
        raise ConfigurationError("engine.ssl.enabled", "a Unix socket has no TLS")
    if values["engine.ssl.key_file"] and not values["engine.ssl.cert_file"]:
        raise ConfigurationError("engine.ssl.cert_file", "must be given, too, when key_file is")
    for name in named:
        try:
            with open(values[name], "rb"):
                pass
        except OSError as error:
            raise ConfigurationError(name, f"cannot be read: {error.strerror}") from None
        except ValueError:
            raise ConfigurationError(name, "cannot be read: no file has such a name") from None


def _warn(values: dict[str, Any]) -> None:
    if values["engine.ssl.enabled"] and not values["engine.ssl.verify"]:
        log.warning("engine.ssl.verify is off: anyone on the way to Redis can read and change "
                    "everything, the password included")
    if values["allowed_origins"] == "*":
        log.warning('allowed_origins is "*": any web page may connect with its visitor\'s cookies')
    if not values["engine.gc_interval"]:
        log.warning("engine.gc_interval is off: clients that vanish stay in the engine until "
                    "something calls cleanup_expired")


def _section(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in values.items()
            if name.rpartition(".")[0] == prefix.rstrip(".")}
