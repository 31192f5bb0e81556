"""What an option is: its name, its default, the values it takes and how they are written.

Nothing here quotes a string that was given in an error: it may be a secret in the wrong place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from .bayeux.policy import Policy
from .errors import ConfigurationError
from .origins import normalise

YEAR = 31_536_000
WORDS = {"true": True, "yes": True, "on": True, "1": True,
         "false": False, "no": False, "off": False, "0": False}


class Kind(NamedTuple):
    """The values an option takes."""

    rule: str
    """Completes "must be"."""
    convert: Callable[[Any], Any]
    """Value given -> value kept; raises ValueError or TypeError for a wrong one."""
    parse: Callable[[str], Any] | None = str
    """Text of an environment variable -> value given. None: it has no variable."""


class Option(NamedTuple):
    """One row of the table of options."""

    name: str
    """With its section: ``engine.ssl.ca_file``."""
    variable: str | None
    """Its environment variable, if it has one."""
    default: Any
    kind: Kind
    help: str
    """One line, for the README."""
    secret: bool
    redis: bool
    """Only a Redis engine uses it."""

    def convert(self, value: Any) -> Any:
        """The value to keep for the one that was given.

        :raises ConfigurationError: it is wrong.
        """
        if value is None and self.default is None:
            return None
        try:
            return self.kind.convert(value)
        except (ValueError, TypeError):
            found = shown(value, self.secret)
            raise ConfigurationError(self.name, f"must be {self.kind.rule}, not {found}") from None

    def parse(self, text: str) -> Any:
        """The value to keep for the text of the environment variable.

        :raises ConfigurationError: it is wrong.
        """
        assert self.kind.parse, self.name
        try:
            return self.kind.convert(self.kind.parse(text))
        except (ValueError, TypeError, KeyError):
            raise ConfigurationError(
                self.name, f"must be {self.kind.rule} (from {self.variable})") from None


def shown(value: Any, secret: bool = False) -> str:
    """A given value as an error may show it."""
    plain = value is None or isinstance(value, (bool, int, float))
    if not plain or secret or (isinstance(value, int) and abs(value) > 2**64):
        return f"this {type(value).__name__}"
    return repr(value)


def nearest(name: str, known: Mapping[str, str]) -> str:
    """Ends an error about an unknown name: what ``known`` has for the most similar one, if any."""
    near = get_close_matches(name, known, 1)
    return f"; did you mean {known[near[0]]}?" if near else ""


def whole(low: int, high: int = 2**31 - 1, clamp: bool = False) -> Kind:
    """Integers; ``clamp`` moves those out of range to the nearest end."""
    def convert(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError
        kept = max(low, min(value, high)) if clamp else value
        if not low <= kept <= high:
            raise ValueError
        return kept
    return Kind(f"a whole number from {low} to {high}", convert, int)


def seconds(zero: bool = False, off: bool = False) -> Kind:
    """Durations; ``off``: 0, None and False mean none, and are kept as 0."""
    def convert(value: Any) -> float:
        if off and (value is None or value is False):
            return 0
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise TypeError
        if not (0 < value <= YEAR or (value == 0 and (zero or off))):  # NaN fails both
            raise ValueError
        return value

    def parse(text: str) -> Any:
        return False if off and WORDS.get(text.lower()) is False else float(text)
    least = "from 0" if zero or off else "above 0"
    none = " (0 or False: none)" if off else ""
    return Kind(f"a number of seconds {least} to {YEAR}{none}", convert, parse)


def rate() -> Kind:
    """Frequencies; 0, None and False mean any, and are kept as 0."""
    def convert(value: Any) -> float:
        if value is None or value is False:
            return 0
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise TypeError
        if not (value == 0 or 0.01 <= value <= 1e9):
            raise ValueError
        return value

    def parse(text: str) -> Any:
        return False if WORDS.get(text.lower()) is False else float(text)
    return Kind("a number per second from 0.01 to 1e9 (0 or False: any)", convert, parse)


def text(rule: str, pattern: str = r"(?s).+") -> Kind:
    """Strings that match ``pattern`` as a whole."""
    def convert(value: Any) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError
        return str(value)
    return Kind(rule, convert)


def choice(*names: str) -> Kind:
    """One of a few words."""
    return text("one of " + ", ".join(names), "|".join(names))


def flag() -> Kind:
    """True or False."""
    def convert(value: Any) -> bool:
        if not isinstance(value, bool):
            raise TypeError
        return value
    return Kind("True or False", convert, lambda text: WORDS[text.lower()])


def file() -> Kind:
    """Paths, as strings or :class:`os.PathLike`."""
    def convert(value: Any) -> str:
        path = os.fspath(value)
        if not isinstance(path, str) or not path:
            raise TypeError
        return path
    return Kind("the path of a PEM file", convert)


def mount() -> Kind:
    """URL paths; kept with a leading and without a trailing slash."""
    path = text("a URL path", r"[A-Za-z0-9._~!$&'()*+,;=:@/-]*")
    return Kind(path.rule, lambda value: "/" + path.convert(value).strip("/"))


def origins() -> Kind:
    """Web origins (RFC 6454): any, the same one, or a list."""
    def convert(value: Any) -> Any:
        if value is None or value == "*":
            return value
        if not isinstance(value, (list, tuple, set, frozenset)):
            raise TypeError
        if not all(isinstance(item, str) and normalise(item) for item in value):
            raise ValueError
        return tuple(value)

    def parse(text: str) -> Any:
        return text if text == "*" else [item.strip() for item in text.split(",")]
    return Kind('None (the same origin), "*", or a list of exact origins without a path, such as '
                '"https://example.org"', convert, parse)


def extensions() -> Kind:
    """Faye extensions."""
    def convert(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise TypeError
        if not all(callable(getattr(item, "incoming", None))
                   or callable(getattr(item, "outgoing", None)) for item in value):
            raise ValueError
        return tuple(value)
    return Kind("a list of objects with an incoming or an outgoing method", convert, None)


def policy() -> Kind:
    """Policies."""
    def convert(value: Any) -> Policy:
        if not isinstance(value, Policy):
            raise TypeError
        return value
    return Kind("a faye_redis.Policy", convert, None)


def binding() -> Kind:
    """What clients are bound to."""
    def convert(value: Any) -> Any:
        if value != "cookie" and not callable(value):
            raise ValueError
        return value
    return Kind('None, "cookie", or a function from the WSGI environ to a string or None', convert)
