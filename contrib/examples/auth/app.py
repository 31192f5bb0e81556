"""Users who sign in, and what they may do: a Flask application and its Bayeux server.

A session of Flask says who somebody is, a signed token that a page of ours asks. Whoever has both
may shake hands. The rules below say what becomes of that, and signing out ends all of it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from clients import Clients
from flask import (
    Flask,
    Response,
    abort,
    make_response,
    redirect,
    render_template,
    request,
    send_from_directory,
    session,
)
from redis import Redis
from werkzeug.security import check_password_hash

from faye_redis import Attempt, Denied, Policy, WSGIAdapter
from faye_redis.errors import UnknownClient
from faye_redis.rules import SignedTokens

DEMO = Path(__file__).resolve().parents[2] / "demo"
TOKEN_SECONDS = 3600
"""How old a page may be and still shake hands, as it does after a long time offline."""

USERS = {  # made by werkzeug.security.generate_password_hash; page.html tells the passwords
    "alice": "scrypt:32768:8:1$PFQ9xuXzNHxo8ajN$13de7d656e4cc7667af2617790451a2556890a9dff1886111d"
             "4d0933ad65f7099554624519df89c4a22f06aa9ca2df927dc2535f6bcf206ba6aa400facddebb6",
    "bob": "scrypt:32768:8:1$t8lA4zPsgEM8hI88$972da5dc7e4523aa2208641d123c7185708b683aacdca79e2243"
           "2c362d8106d291ae113bd0bf9c24f58ccfa03e19e475df9c045894b6c8d250242ad87e45138a",
}

app = Flask(__name__, template_folder=".")
app.secret_key = os.environ["SECRET_KEY"]  # the same for all workers
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"  # no other site can post in a user's name
tokens = SignedTokens(app.secret_key, TOKEN_SECONDS)


def signed_in_user(environ: dict[str, Any]) -> str | None:
    """Who sends a request, by Flask's session."""
    found = app.session_interface.open_session(app, app.request_class(environ))
    return found.get("user") if found is not None else None


# Who may do what

policy = Policy(strict=True)


@policy.handshake
def signed_in(attempt: Attempt) -> str:
    """Asks for the token, too: pages of other sites can have a browser send its cookies, but not
    read our page. And for the session, too: where that has ended, the token of a page is void."""
    user = tokens(attempt)
    if user != signed_in_user(attempt.environ):
        raise Denied("Not signed in")
    return user


@policy.subscribe("/users/*")
def own_channel(attempt: Attempt) -> bool:
    """There is no rule for publishing to it: only the application does."""
    return attempt.channel == f"/users/{attempt.user}"


@policy.subscribe("/chat/room")
@policy.publish("/service/whoami")
def any_user(attempt: Attempt) -> bool:
    return attempt.user is not None


@policy.publish("/chat/room")
def in_own_name(attempt: Attempt) -> bool:
    return isinstance(attempt.data, dict) and attempt.data.get("from") == attempt.user


application = WSGIAdapter(app.wsgi_app, {
    "engine": {"type": "redis"},  # FAYE_REDIS_URL says which
    "policy": policy,
    # A client id that leaks is of no use but to its user. "cookie" would tell browsers apart, not
    # users: right where nobody signs in, but here an id could outlive a change of the user.
    "bind_clients": signed_in_user,
})


@application.service("/service/whoami")
def whoami(attempt: Attempt) -> dict[str, Any]:
    return {"user": attempt.user}


# Who is here, so that signing out can end it

clients = Clients(Redis.from_url(os.environ["FAYE_REDIS_URL"], decode_responses=True),
                  prefix=f"example-{application.settings.engine.namespace}")


def remember(client_id: str) -> None:
    clients.add(client_id, application.user(client_id))


application.on("handshake", remember)
application.on("disconnect", clients.discard)


# Pages

@app.get("/")
def page() -> Response:
    user = session.get("user")
    token = tokens.make(user) if user else None
    response = make_response(render_template("page.html", user=user, token=token, users=USERS))
    response.headers["Cache-Control"] = "no-store"  # what is signed out must not come "back"
    return response


@app.get("/client.js")
def client_script() -> Response:
    return send_from_directory(DEMO, "client.js")


@app.post("/sign-in")
def sign_in() -> Any:
    name, password = request.form["name"], request.form["password"]
    if not check_password_hash(USERS.get(name, ""), password):
        return render_template("page.html", problem="Name or password is wrong"), 403
    session["user"] = name
    return redirect("/")


@app.post("/sign-out")
def sign_out() -> Any:
    """Ends all of the user's clients, in other browsers, too, whichever workers hold them."""
    for client_id in clients.of(session.pop("user", "")):
        with suppress(UnknownClient):
            application.kick(client_id)
        clients.discard(client_id)
    return redirect("/")


@app.post("/notify/<name>")
def notify(name: str) -> Any:
    if "user" not in session:
        abort(403)
    if name not in USERS:
        abort(404)
    note = {"from": session["user"], "text": request.form["text"]}
    application.get_client().publish(f"/users/{name}", note)
    return "", 204
