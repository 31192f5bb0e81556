"""Options of any name and value: settings that say what was given, or a ``ConfigurationError``.

The oracle is that of contrib/fuzz, which also knows what an error must not repeat.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_redis.settings import OPTIONS
from fuzz.finding import Finding
from fuzz.settings import CANARY, Case, check

Section = st.SearchStrategy[dict[str, Any]]

values = (st.none() | st.booleans() | st.integers(-10, 100_000) | st.floats() | st.text(max_size=8)
          | st.sampled_from(["memory", "redis", "*", "/x", CANARY, f"redis://:{CANARY}@h/1",
                             "redis://h:1?db=2", "rediss://h", ["https://a.org"], b"x", object()]))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
variables = st.sampled_from([row.variable for row in OPTIONS.values() if row.variable])
words = st.sampled_from(["0", "1", "on", "off", "2.5", "30", "90", "nan", "redis", "*", CANARY])


def section(prefix: str, **nested: Section) -> Section:
    names = [name.removeprefix(prefix) for name in OPTIONS if name.startswith(prefix)]
    known = {name: values for name in names if "." not in name}
    return st.fixed_dictionaries({}, optional={**known, **nested})


options = section("", engine=section("engine.", ssl=section("engine.ssl.")))


@given(options | st.dictionaries(texts, values, max_size=2) | values,
       st.dictionaries(variables | texts.map("FAYE_REDIS_".__add__), words | texts, max_size=3))
def test_any_options_and_variables(mapping: Any, environ: dict[str, str]) -> None:
    check(Case(mapping, environ))


@given(st.dictionaries(variables, words, max_size=2))
def test_variables_alone(environ: dict[str, str]) -> None:
    check(Case(None, environ))


@pytest.mark.parametrize(("mapping", "outcome"), [
    ({}, "memory"), ({"engine": {"port": 1}}, "redis"), ({"engine": {"port": 0}}, "refused")])
def test_what_the_oracle_sees(mapping: Any, outcome: str) -> None:
    assert check(Case(mapping, {})) == [outcome]


@pytest.mark.parametrize("mapping", [
    {"engine": {"url": "unix://u:p@h:99999/run/x"}},
    {"engine": {"url": f"unix://:{CANARY}/x@/run/x"}},
    {"engine": {"ssl": {"enabled": True, "ca_file": "a\x00b"}}},
    {"engine": {"ssl": {"enabled": True, "ca_file": "\ud800"}}},
    {"timeout": 10**5000},
], ids=["port", "secret-for-a-port", "nul", "surrogate", "huge"])
def test_what_python_refuses_first_is_refused_as_documented(mapping: Any) -> None:
    assert check(Case(mapping, {})) == ["refused"]


def test_the_oracle_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faye_redis.options.shown", lambda value, secret: repr(value))
    with pytest.raises(Finding):
        check(Case({"timeout": CANARY}, {}))
