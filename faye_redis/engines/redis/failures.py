"""What a failure of Redis means: try again later, a fault of this program, or a wrong option.

No error of redis-py leaves what runs under :class:`translated`, and no text made here holds a
command's arguments: they may be messages or a password.
"""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import ContextDecorator, suppress

from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    ConnectionError,
    ExecAbortError,
    InvalidResponse,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
    TryAgainError,
)

from ...errors import ConfigurationError, EngineError, EngineUnavailable
from ...settings import EngineSettings, SslSettings

_UNAVAILABLE = (ConnectionError, TimeoutError, InvalidResponse, ReadOnlyError, OutOfMemoryError,
                NoPermissionError, ClusterDownError, TryAgainError, ExecAbortError, NoScriptError)
# Refusals for which redis-py has no class; the last two are NOPERM inside a script.
_REFUSALS = ("BUSY ", "MISCONF ", "NOREPLICAS ", "UNKILLABLE ", "ACL failure in script",
             "The user executing the script can't")


class translated(ContextDecorator):
    """Context or decorator that turns redis-py's errors into this package's.

    :raises EngineUnavailable: Redis cannot be reached, is slow, or refuses for now.
    :raises EngineError: it refuses for good; a fault of this program.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RedisError):
            raise translation(error) from None  # the original may quote arguments


def translation(error: RedisError) -> EngineError:
    """This package's error for one of redis-py."""
    text = _text(error)
    gone = isinstance(error, _UNAVAILABLE) or text.startswith(_REFUSALS)
    return (EngineUnavailable if gone else EngineError)(f"{type(error).__name__}: {text}")


def _text(error: RedisError) -> str:
    """What Redis or redis-py says, less the places where it quotes a command's arguments."""
    reason = str(error).rpartition(" of pipeline caused error: ")[2]
    return reason.partition(", with args beginning with")[0]


# Wrong options, found out at start


def tls_context(tls: SslSettings) -> ssl.SSLContext:
    """A context with the files that are given.

    :raises ConfigurationError: a file does not hold what it should.
    """
    context = ssl.create_default_context()
    context.check_hostname = tls.verify and tls.check_hostname
    context.verify_mode = ssl.CERT_REQUIRED if tls.verify else ssl.CERT_NONE
    try:
        if tls.ca_file:
            context.load_verify_locations(tls.ca_file)
    except OSError:
        raise ConfigurationError("engine.ssl.ca_file", "holds no PEM certificates") from None
    try:
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file, password="")  # never ask for one
    except OSError:
        raise ConfigurationError("engine.ssl.cert_file", "must be a PEM certificate, with its "
                                 "unencrypted key there or in engine.ssl.key_file") from None
    return context


def wrong_option(error: RedisError, settings: EngineSettings) -> ConfigurationError | None:
    """The option that made a first command fail with ``error``, if it is one.

    Where ``error`` leaves it open it connects once or twice more, without sending credentials.
    """
    if isinstance(error, AuthenticationError):
        return _wrong_password(error)
    if isinstance(error, NoPermissionError):
        return ConfigurationError("engine.username", f"lacks a permission: {_text(error)}")
    if re.search(r"DB index|SELECT", _text(error)):
        return ConfigurationError("engine.database", f"{settings.database}: {_text(error)}")
    lost = isinstance(error, (ConnectionError, TimeoutError, InvalidResponse))
    return _wrong_tls(settings) if lost and not settings.host.startswith("/") else None


def _wrong_password(error: AuthenticationError) -> ConfigurationError:
    if error.status_code == "NOAUTH":
        return ConfigurationError("engine.password", "Redis wants one")
    if error.status_code == "WRONGPASS":
        return ConfigurationError("engine.password", "Redis refuses it, or engine.username")
    return ConfigurationError("engine.password", "Redis refuses it; it may have none itself")


def _wrong_tls(settings: EngineSettings) -> ConfigurationError | None:
    place = f"{settings.host}:{settings.port}"
    if not settings.ssl.enabled:
        return ConfigurationError("engine.ssl.enabled", f"must be True: {place} wants TLS") if (
            _speaks_tls(settings)) else None
    try:
        _shake_hands(settings, settings.ssl)
    except ssl.SSLCertVerificationError as error:
        mismatch = error.verify_code in (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, ..._IP_ADDRESS_...
        return ConfigurationError("engine.host" if mismatch else "engine.ssl.ca_file",
                                  f"the certificate of {place} fails: {error.verify_message}")
    except OSError as error:
        if alert := _alert(error):
            return ConfigurationError("engine.ssl.cert_file", f"{place} refuses it: {alert}")
    return ConfigurationError("engine.ssl.enabled", f"must be False: {place} has no TLS") if (
        _speaks_plainly(settings)) else None


def _alert(error: OSError) -> str:
    """The TLS alert that the peer sent (RFC 8446, section 6), if that is the error."""
    reason = getattr(error, "reason", None) or ""
    return reason.lower().replace("_", " ") if "ALERT" in reason else ""


def _shake_hands(settings: EngineSettings, tls: SslSettings) -> None:
    """Connect by TLS. The peer may judge the client certificate after its handshake: listen on."""
    with _connect(settings) as plain, tls_context(tls).wrap_socket(
            plain, server_hostname=settings.host) as secure, suppress(socket.timeout):
        secure.recv(1)


def _speaks_tls(settings: EngineSettings) -> bool:
    try:
        _shake_hands(settings, SslSettings(verify=False))
    except OSError as error:
        return bool(_alert(error))
    return True


def _speaks_plainly(settings: EngineSettings) -> bool:
    try:
        with _connect(settings) as plain:
            plain.sendall(b"PING\r\n")
            return plain.recv(16).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def _connect(settings: EngineSettings) -> socket.socket:
    return socket.create_connection((settings.host, settings.port), settings.connect_timeout)
