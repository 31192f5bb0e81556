"""Options and environment variables: settings that say what was given, or one kind of error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from faye_redis.errors import ConfigurationError
from faye_redis.settings import OPTIONS, EngineSettings, Settings, SslSettings

from .finding import expect, no_error_logged
from .values import SCALARS, Source, joined, value

CANARY = "s3cr3t-canary"
"""Part of texts that are given; it must not be in any error, since it may be a secret."""

_VARIABLES = [option.variable for option in OPTIONS.values() if option.variable]
_WORDS = ["true", "false", "off", "on", "0", "1", "25", "-1", "1e400", "nan", "2.5", "1" * 5000,
          "memory", "redis", "debug", "*", "https://a.org", "https://a.org,http://b.org", " ", "x",
          "localhost", "/dev/null", "/nowhere", "/", CANARY, f"/{CANARY}", "a\x00b", "\ud800",
          f"redis://:{CANARY}@h", "\u0663"]
_URL = ("redis://", "rediss://", "unix://", "redis+sentinel://", "u", ":", CANARY, "@", "h", "/",
        "[::1]", "[", "]", "6379", "99999", "0", "-1", "/1", "/run/x", "?db=2", "?", "&", "=",
        "ssl_cert_reqs=none", "ssl_ca_certs=/dev/null", "ssl_check_hostname=no", "db", "#", "%2F",
        "%", " ", "\n", "\x00", "\u00e9", "\ud800", "host=h", "port=1", "username=u", "path=/x")
_VALUES: list[Any] = [*SCALARS, *_WORDS, [], {}, (), b"x", object(), 10**5000, -(10**5000),
                      float("nan"), float("inf"), 1j, ["https://a.org"],
                      ["https://a.org/x"], [None], range(3), {1}]
_KEYS = ["x", "", "engine", "ssl", "engine.ssl", None, 5, ("engine",), "\ud800", "timeuot"]
_MOST_OF_ALL = 2**31 - 1
_MOST = {"engine.port": 65535, "engine.max_retries": 1000, "engine.cleanup_batch_size": 1000,
         "max_depth": 254, "timeout": 31_536_000, "engine.read_timeout": 31_536_000}


class Case(NamedTuple):
    mapping: Any
    environ: dict[str, str]


def generate(source: Source) -> Case:
    mapping: Any = {}
    for _ in range(source.ConsumeIntInRange(0, 4)):
        _give(source, mapping)
    if source.ConsumeIntInRange(0, 31) == 31:
        mapping = source.PickValueInList(_VALUES)
    environ = {}
    for _ in range(source.ConsumeIntInRange(0, 3)):
        name = source.PickValueInList([*_VARIABLES, "FAYE_REDIS_", "FAYE_REDIS_PROT", "PATH"])
        environ[name] = str(_text(source))
    return Case(mapping, environ)


def _give(source: Source, mapping: dict[Any, Any]) -> None:
    """One more option, nested as it has to be, or nearly."""
    if source.ConsumeIntInRange(0, 15) == 15:
        mapping[source.PickValueInList(_KEYS)] = _value(source)
        return
    *sections, name = source.PickValueInList(list(OPTIONS)).split(".")
    for section in sections:
        if not isinstance(mapping.get(section), dict):
            mapping[section] = {}
        mapping = mapping[section]
    mapping[name] = _value(source)


def _value(source: Source) -> Any:
    kind = source.ConsumeIntInRange(0, 4)
    if kind == 0:
        return source.PickValueInList(_VALUES)
    if kind == 1:
        return source.ConsumeIntInRange(-1, 100)
    return _text(source) if kind < 4 else value(source)


def _text(source: Source) -> str:
    if source.ConsumeBool():
        return str(source.PickValueInList(_WORDS))
    return joined(source, _URL, 8)


def check(case: Case) -> list[str]:
    with no_error_logged():
        return _check(case)


def _check(case: Case) -> list[str]:
    try:
        loaded = Settings.load(case.mapping, case.environ)
    except ConfigurationError as problem:
        expect(CANARY not in str(problem) + repr(problem), "a secret in an error", problem)
        expect(problem.problem, problem)
        return ["refused"]
    expect(Settings.load(_as_mapping(loaded), {}) == loaded, "does not load again", loaded)
    for name, number in _numbers("", loaded):
        expect(0 <= number <= _MOST.get(name, _MOST_OF_ALL), name, number)  # NaN is neither
    for origin in loaded.allowed_origins or ():
        expect("/" not in origin.partition("://")[2], origin)
    expect(0 < loaded.timeout + 10 <= loaded.engine.client_timeout, loaded)
    expect(loaded.engine.client_timeout <= loaded.engine.message_ttl
           <= loaded.engine.subscription_ttl, loaded)
    return [loaded.engine.type]


def _numbers(prefix: str, settings: Any) -> Iterator[tuple[str, float]]:
    for name, found in vars(settings).items():
        if isinstance(found, (EngineSettings, SslSettings)):
            yield from _numbers(f"{prefix}{name}.", found)
        elif isinstance(found, (int, float)):
            yield prefix + name, found


def _as_mapping(settings: Settings | EngineSettings | SslSettings) -> dict[str, Any]:
    """What gives the same settings."""
    nested = (EngineSettings, SslSettings)
    return {name: _as_mapping(found) if isinstance(found, nested) else found
            for name, found in vars(settings).items()}
