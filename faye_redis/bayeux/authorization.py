"""Asks the application's policy, and says no in the words of Bayeux."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import Denied, UnknownClient
from .errors import denied
from .exchange import Exchange, Refused
from .policy import HANDSHAKE, PUBLISH, SUBSCRIBE, Attempt, Policy
from .sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..settings import Settings

LONGEST_USER: Final = 255
"""Characters of the name of a user."""

_WILDCARDS: Final = ("*", "**")  # a rule may compare names of channels with one that it makes of it


class Authorization:
    """What the policy of one server allows. The in-process client may do everything."""

    def __init__(self, settings: Settings, sessions: Sessions) -> None:
        self._policy = settings.policy or Policy()
        self._sessions = sessions
        self._require_client_id = settings.require_client_id

    @property
    def requires_client(self) -> bool:
        """Must a publisher be a client that is known?"""
        if self._require_client_id is None:
            return self._policy.restricts(HANDSHAKE)
        return self._require_client_id

    @property
    def asks_about_publishing(self) -> bool:
        """May anything remote not simply be published?"""
        return (self.requires_client or self._sessions.binds
                or self._policy.restricts(PUBLISH))

    def handshake(self, exchange: Exchange) -> str:
        """The user that the client is of, "" if no rule names one.

        :raises Refused: 403, also if two rules name two users; the advice is "none" unless the
            rule says otherwise.
        :raises TypeError, ValueError: a rule has returned what is neither a user nor a yes.
        """
        if exchange.request is None:
            return ""
        attempt = Attempt(HANDSHAKE, exchange.message, exchange.request, taken={})
        users = {_user(said) for said in self._ask(attempt)} - {""}
        if len(users) > 1:
            raise Refused(denied(HANDSHAKE, "", ""), "none")
        return users.pop() if users else ""

    def subscribe(self, exchange: Exchange, client_id: str, names: Iterable[str]) -> None:
        """:raises Refused: 403, for the first channel or pattern that is not allowed.
        :raises UnknownClient: no rule is asked about a client that does not exist.
        """
        if exchange.request is None or not self._policy.restricts(SUBSCRIBE):
            return
        owner = self._sessions.owner(client_id)
        if owner is None:
            raise UnknownClient(client_id)
        attempt = Attempt(SUBSCRIBE, exchange.message, exchange.request, "", client_id,
                          owner.user or None, {})
        for name in names:
            self._ask(attempt._replace(channel=name))

    def publish(self, exchange: Exchange, channel: str) -> None:
        """:raises Refused: 403."""
        if exchange.request is not None and self._policy.restricts(PUBLISH):
            self._ask(self.attempt(exchange, channel))

    def attempt(self, exchange: Exchange, channel: str) -> Attempt:
        """An attempt to publish."""
        client_id = exchange.message.get("clientId")
        return Attempt(
            PUBLISH, exchange.message, exchange.request or {}, channel,
            client_id if isinstance(client_id, str) else None, self._sessions.user(client_id), {})

    def _ask(self, attempt: Attempt) -> list[Any]:
        said = []
        try:
            for verdict in self._policy.verdicts(attempt):
                if not verdict:
                    raise Denied
                said.append(verdict)
        except Denied as no:
            raise Refused(
                denied(attempt.action, attempt.channel, no.text), no.reconnect) from None
        return said


def _user(said: Any) -> str:
    if said is True:
        return ""
    if not isinstance(said, str):
        raise TypeError(f"a rule for handshakes returns a string or a bool, not {type(said)}: the "
                        "name of a user is a string")
    if said in _WILDCARDS or len(said) > LONGEST_USER:
        raise ValueError(f"the name of a user is no wildcard and {LONGEST_USER} characters at most")
    return said
