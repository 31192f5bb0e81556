"""Ready rules for a :class:`~faye_redis.Policy`: tokens, CSRF tokens, push only.

    policy = Policy()
    policy.handshake(SignedTokens(secret, max_age=3600))
    policy.publish("/**")(push_only)

A client sends a token in the field ``ext`` of its message, by an extension of its own; a browser
cannot set headers on every transport. Rules take it out, so that subscribers do not get it.

SignedTokens needs itsdangerous, flask_csrf Flask-WTF, django_csrf Django.
"""

from __future__ import annotations

from hmac import compare_digest
from io import BytesIO
from typing import TYPE_CHECKING, Any

from .bayeux.policy import Attempt, Rule
from .errors import Denied

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["SignedTokens", "django_csrf", "flask_csrf", "push_only", "shared_token"]


def push_only(attempt: Attempt) -> bool:
    """For publishing: only what the application publishes goes out; ``/service`` stays open."""
    return attempt.channel.startswith("/service/")


def shared_token(*tokens: str, field: str = "token") -> Rule:
    """Ask for one of these in ``ext``; compared without telling by the time it takes.

    :raises ValueError: one is empty.
    """
    if not all(tokens):
        raise ValueError("an empty token would be no token")
    known = [token.encode() for token in tokens]

    def has_token(attempt: Attempt) -> bool:
        given = _text(attempt.take(field)).encode()
        return any([compare_digest(given, token) for token in known])
    return has_token


class SignedTokens:
    """Tokens that the application makes for a user, and that a handshake shows in ``ext``.

    :param secret: signs them; several, the newest last, for a change of it.
    :param max_age: seconds that a token may be used for a handshake; a client that has shaken
        hands goes on. None: for ever.
    :raises ValueError: a secret is empty.
    :param salt: keeps these tokens apart from others signed with the same secret.
    """

    def __init__(
        self, secret: str | list[str], max_age: float | None, salt: str = "faye_redis",
        field: str = "token",
    ) -> None:
        if not secret or not all(secret):
            raise ValueError("an empty secret keeps nothing")
        try:
            from itsdangerous import URLSafeTimedSerializer
        except ImportError:
            raise ImportError(
                "SignedTokens needs itsdangerous: pip install 'faye_redis[tokens]'") from None
        self._serializer = URLSafeTimedSerializer(secret, salt=salt)
        self._max_age = max_age
        self._field = field

    def make(self, user: str) -> str:
        """A token for a user; URL-safe.

        :raises TypeError: the name is no string.
        """
        if not isinstance(user, str):
            raise TypeError(f"the name of a user is a string, not {type(user)}")
        return str(self._serializer.dumps(user))

    def __call__(self, attempt: Attempt) -> str:
        """The user.

        :raises Denied: the token is missing, has expired or is none of ours.
        """
        from itsdangerous import BadData, SignatureExpired

        token = _text(attempt.take(self._field))
        try:
            user = self._serializer.loads(token, max_age=self._max_age)  # type: ignore[arg-type]
        except SignatureExpired:
            raise Denied("Token expired") from None
        except BadData:
            raise Denied("Invalid token" if token else "Token missing") from None
        if not isinstance(user, str):
            raise Denied("Invalid token")
        return user


def flask_csrf(app: Flask, field: str = "csrfToken") -> Rule:
    """Ask for the token that Flask-WTF's ``csrf_token()`` gave to the page, in ``ext``."""
    from flask_wtf.csrf import validate_csrf
    from wtforms import ValidationError

    def is_valid(attempt: Attempt) -> bool:
        token = _text(attempt.take(field))
        with app.request_context({**attempt.environ, "wsgi.input": BytesIO()}):
            try:
                validate_csrf(token)
            except ValidationError:
                raise Denied("Invalid CSRF token") from None
        return True
    return is_valid


def django_csrf(field: str = "csrfToken") -> Rule:
    """Ask for the token that Django's ``csrf_token`` gave to the page, in ``ext``. Its middleware
    judges, as if the token had come in the header of a POST."""
    from django.conf import settings
    from django.contrib.sessions.middleware import SessionMiddleware
    from django.core.handlers.wsgi import WSGIRequest
    from django.middleware.csrf import CsrfViewMiddleware

    def judge(environ: dict[str, Any]) -> object:
        request = WSGIRequest(environ)
        if settings.CSRF_USE_SESSIONS:
            SessionMiddleware(_no_response).process_request(request)
        middleware = CsrfViewMiddleware(_no_response)
        middleware.process_request(request)
        return middleware.process_view(request, _no_response, (), {})

    def is_valid(attempt: Attempt) -> bool:
        post = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "0", "wsgi.input": BytesIO(),
                settings.CSRF_HEADER_NAME: _text(attempt.take(field))}
        if judge({**attempt.environ, **post}) is not None:
            raise Denied("Invalid CSRF token")
        return True
    return is_valid


def _no_response(*_: Any) -> Any:
    """The view, which is not called."""


def _text(token: object) -> str:
    return token if isinstance(token, str) else ""
