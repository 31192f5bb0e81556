"""Every error this package raises, as one tree.

    FayeRedisError
    ├── ConfigurationError     an option is unknown or wrong; raised at start
    ├── NotPatchedError        the process is not monkey-patched for gevent
    ├── BadRequest             the peer sent something that is no Bayeux request (HTTP status)
    ├── Denied                 a policy does not allow it; raised by the application's rules
    ├── PublishError           a publish of this program was refused (Bayeux error text)
    ├── SubscriptionError      an in-process subscribe or unsubscribe was refused (likewise)
    └── EngineError            the engine could not do it
        ├── EngineUnavailable  the store is down, slow or refuses; trying again may help
        ├── UnknownClient      no such client: it never was, it left, or it expired
        ├── TooMany            a client has as many subscriptions as it may have
        └── Superseded         a newer request of the same client took over

Exceptions of other libraries are translated into these where they are met
(``engines/redis/client.py``, ``bayeux/messages.py``); nothing above sees a redis error.
"""

from __future__ import annotations


class FayeRedisError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigurationError(FayeRedisError):
    """An option is unknown or has a wrong value.

    :param option: the option's name, with its section (``engine.port``).
    :param problem: what is wrong and what would be right; never contains a secret.
    """

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"{option}: {problem}")
        self.option = option
        self.problem = problem


class NotPatchedError(FayeRedisError):
    """The standard library is not monkey-patched, so one wait would stop the whole worker."""


class BadRequest(FayeRedisError):
    """What the peer sent is no Bayeux request.

    :param reason: what is wrong, for the log and the peer: names the option that is in the way,
        quotes little of what came and nothing of what others sent.
    :param status: HTTP status code.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Denied(FayeRedisError):
    """Raise it in a rule of a policy to refuse what a client wants.

    :param text: for the client, in place of "Subscription denied" and the like.
    :param reconnect: what the client is advised to do if it wanted to shake hands: "none", so that
        it stops; "handshake", to try again after a second or two; "retry" likewise.
    """

    def __init__(self, text: str = "", reconnect: str = "none") -> None:
        super().__init__(text)
        self.text = text
        self.reconnect = reconnect


class PublishError(FayeRedisError):
    """A publish by the in-process client or a ``Publisher`` was refused or failed; the text is the
    Bayeux error.

    :param stored: see ``Publisher.publish_all``.
    """

    def __init__(self, text: str = "", stored: tuple[int, ...] = ()) -> None:
        super().__init__(text)
        self.stored = stored


class SubscriptionError(FayeRedisError):
    """A subscribe or unsubscribe by the in-process client was refused; the text likewise."""


class EngineError(FayeRedisError):
    """The engine could not do what it was asked."""


class EngineUnavailable(EngineError):
    """The store cannot be reached, timed out or refuses writes for now."""


class UnknownClient(EngineError):
    """No such client: it was never created, has left, or has expired."""

    def __init__(self, client_id: str) -> None:
        super().__init__("unknown client")
        self.client_id = client_id


class TooMany(EngineError):
    """A client would have more subscriptions than it may have; nothing was changed.

    :param option: the option that does not allow it: ``max_subscriptions``, ``max_wildcards``.
    """

    def __init__(self, option: str) -> None:
        super().__init__(f"more than {option}")
        self.option = option


class Superseded(EngineError):
    """A newer request of the same client took its place; this one must not be answered."""
