"""The ready rules, with the frameworks that make their tokens."""

from __future__ import annotations

import time
from io import BytesIO
from typing import Any

import flask
import flask_wtf.csrf
import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from itsdangerous import URLSafeTimedSerializer

from faye_redis.bayeux.policy import Attempt, Rule
from faye_redis.errors import Denied
from faye_redis.rules import SignedTokens, django_csrf, flask_csrf, push_only, shared_token
from support import django_site

ENVIRON = {"REQUEST_METHOD": "GET", "PATH_INFO": "/bayeux", "SERVER_NAME": "localhost",
           "SERVER_PORT": "80", "HTTP_HOST": "localhost", "SERVER_PROTOCOL": "HTTP/1.1",
           "wsgi.url_scheme": "http"}  # as of a socket that stays: no wsgi.input
NO_TOKENS = [None, 5, [], {}, "", "ü", "x" * 1000, "\x00"]


def attempt(ext: Any = None, environ: Any = ENVIRON, channel: str = "") -> Attempt:
    message = {} if ext is None else {"ext": ext}
    return Attempt("publish" if channel else "handshake", message, environ, channel)


def refusal(rule: Rule, given: Attempt) -> str:
    with pytest.raises(Denied) as denied:
        rule(given)
    assert denied.value.reconnect == "none"
    return denied.value.text


@pytest.mark.parametrize(("channel", "allowed"), [
    ("/a", False), ("/a/*", False), ("/service", False), ("/services/a", False),
    ("/service/a", True)])
def test_push_only(channel: str, allowed: bool) -> None:
    assert push_only(attempt(channel=channel)) is allowed


def test_a_shared_token() -> None:
    rule = shared_token("old", "neu ☃", field="key")
    assert rule(attempt({"key": "old"})) and rule(attempt({"key": "neu ☃"}))
    assert not rule(attempt({"token": "old"})) and not rule(attempt(5)) and not rule(attempt())
    assert not any(rule(attempt({"key": value})) for value in [*NO_TOKENS, "ol", "oldneu ☃"])


def test_no_shared_token_is_not_the_empty_one() -> None:
    assert not shared_token()(attempt({"token": ""}))
    with pytest.raises(ValueError, match="empty token"):
        shared_token("good", "")


@pytest.mark.parametrize("secret", ["", [], ["good", ""], None])
def test_an_empty_secret_keeps_nothing(secret: Any) -> None:
    with pytest.raises(ValueError, match="empty secret"):
        SignedTokens(secret, 60)


def test_a_token_is_for_a_name() -> None:
    with pytest.raises(TypeError, match="the name of a user is a string"):
        SignedTokens("secret", 60).make(5)  # type: ignore[arg-type]


# Signed

def test_a_signed_token_names_the_user() -> None:
    tokens = SignedTokens("secret", 60)
    for user in ("ann", "änn ☃", ""):
        assert tokens(attempt({"token": tokens.make(user)})) == user


@pytest.mark.parametrize("token", NO_TOKENS)
def test_what_is_no_token(token: Any) -> None:
    expected = "Invalid token" if token and isinstance(token, str) else "Token missing"
    assert refusal(SignedTokens("secret", 60), attempt({"token": token})) == expected


def test_a_token_of_somebody_else() -> None:
    tokens = SignedTokens("secret", 60)
    for other in (SignedTokens("public", 60), SignedTokens("secret", 60, salt="mail")):
        assert refusal(tokens, attempt({"token": other.make("ann")})) == "Invalid token"
    token = tokens.make("ann")
    assert refusal(tokens, attempt({"token": token[:-1]})) == "Invalid token"
    assert refusal(tokens, attempt({"token": "x" + token})) == "Invalid token"


def test_a_token_for_something_else() -> None:
    token = URLSafeTimedSerializer("secret", salt="faye_redis").dumps({"user": "ann"})
    assert refusal(SignedTokens("secret", 60), attempt({"token": token})) == "Invalid token"


def test_a_token_of_yesterday(monkeypatch: pytest.MonkeyPatch) -> None:
    token = SignedTokens("secret", 60).make("ann")
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 100)
    assert refusal(SignedTokens("secret", 60), attempt({"token": token})) == "Token expired"
    assert SignedTokens("secret", None)(attempt({"token": token})) == "ann"


def test_a_change_of_the_secret() -> None:
    token = SignedTokens("old", 60).make("ann")
    tokens = SignedTokens(["old", "new"], 60)
    assert tokens(attempt({"token": token})) == "ann"
    assert SignedTokens("new", 60)(attempt({"token": tokens.make("bob")})) == "bob"


# Flask

@pytest.fixture
def flask_app() -> flask.Flask:
    app = flask.Flask("shop")
    app.secret_key = "secret"
    app.add_url_rule("/", view_func=flask_wtf.csrf.generate_csrf)
    return app


def flask_page(app: flask.Flask) -> tuple[str, str]:
    """The token on a page, and the cookie that came with it."""
    answer = app.test_client().get("/")
    return answer.text, answer.headers["Set-Cookie"].split(";")[0]


def test_flask(flask_app: flask.Flask) -> None:
    token, cookie = flask_page(flask_app)
    rule, environ = flask_csrf(flask_app), {**ENVIRON, "HTTP_COOKIE": cookie}
    ours = attempt({"csrfToken": token, "other": 1}, environ)
    assert rule(ours) and ours.message == {"ext": {"other": 1}}
    for foreign in (attempt({"csrfToken": token}), attempt(None, environ),
                    attempt({"csrfToken": flask_page(flask_app)[0]}, environ),
                    *(attempt({"csrfToken": one}, environ) for one in NO_TOKENS)):
        assert refusal(rule, foreign) == "Invalid CSRF token"


# Django

def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


@pytest.fixture
def django_page() -> tuple[str, str]:
    """The token on a page, and the cookie that came with it."""
    django_site.set_up()
    request = WSGIRequest({**ENVIRON, "wsgi.input": BytesIO()})
    response = CsrfViewMiddleware(page)(request)
    return response.content.decode(), f"csrftoken={response.cookies['csrftoken'].value}"


def test_django(django_page: tuple[str, str]) -> None:
    token, cookie = django_page
    rule, environ = django_csrf(), {**ENVIRON, "HTTP_COOKIE": cookie}
    ours = attempt({"csrfToken": token}, environ)
    assert rule(ours) and ours.message == {}
    evil = {**environ, "HTTP_ORIGIN": "http://evil.com", "HTTP_HOST": "evil.com"}
    for foreign in (attempt({"csrfToken": token}), attempt(None, environ),
                    attempt({"csrfToken": token}, evil),
                    *(attempt({"csrfToken": one}, environ) for one in NO_TOKENS)):
        assert refusal(rule, foreign) == "Invalid CSRF token"
