"""The README says what the code does, where that can be checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from faye_redis.bayeux.monitoring import EVENTS
from faye_redis.settings import OPTIONS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.rst").read_text(encoding="utf-8")
PYTHON = re.findall(r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", README, re.MULTILINE)


def section(title: str) -> str:
    """What stands between the heading ``title`` and the next one."""
    _, rest = README.split(f"\n{title}\n", 1)
    return re.split(r"\n[^\n]+\n(?:=+|-+)\n", rest.split("\n", 1)[1], maxsplit=1)[0]


def literal(text: Any) -> str:
    return f"``{text}``"


def option_table(prefix: str) -> str:
    """The table of one section, as it has to stand in the README."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: auto", "",
             "   * - Option", "     - Default", "     - Meaning"]
    for option in OPTIONS.values():
        place, _, name = option.name.rpartition(".")
        if place == prefix:
            meaning = re.sub(r"`([^`]+)`", r"``\1``", option.help)
            lines += [f"   * - {literal(name)}", f"     - {literal(repr(option.default))}",
                      f"     - {meaning}"]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("prefix", ["", "engine", "engine.ssl"])
def test_the_tables_of_options_are_those_of_the_code(prefix: str) -> None:
    assert option_table(prefix) + "\n" in README  # and no further row


def test_the_limits_are_options_with_these_defaults() -> None:
    rows = re.findall(r"\* - ``([a-z_.]+)``\n     - ``(\d+)``\n", section("Limits"))
    assert sorted(name for name, _ in rows if name.startswith("max_")) == sorted(
        name for name in OPTIONS if name.startswith("max_"))
    assert {name: str(OPTIONS[name].default) for name, _ in rows} == dict(rows)


def test_the_names_of_variables_follow_the_rule_given() -> None:
    for option in OPTIONS.values():
        name = option.name.removeprefix("engine.").replace(".", "_").upper()
        assert option.variable in (f"FAYE_REDIS_{name}", None)
    without = [option.name for option in OPTIONS.values() if not option.variable]
    assert without == ["extensions", "policy"]


def test_the_events_are_those_of_the_code() -> None:
    assert re.findall(r"^``([a-z:]+)``$", section("Events"), re.MULTILINE) == list(EVENTS)


@pytest.mark.parametrize("block", PYTHON)
def test_python_compiles(block: str) -> None:
    compile(dedent(block), "README.rst", "exec")


def test_there_is_python_to_compile() -> None:
    assert len(PYTHON) == README.count("code-block:: python")


@pytest.fixture
def differences(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Every reason why an answer differs from Faye's, from the table of protocol cases."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "integration"))
    cases = import_module("parity_cases").CASES
    yield {reason for _, reason in import_module("parity").differences(cases)}


def test_the_differences_from_faye_are_those_of_the_protocol_cases(differences: set[str]) -> None:
    text = section("In answers").replace("``", "").replace("\\", "")
    bullets = [" ".join(item.split()) for item in re.split(r"^- ", text, flags=re.MULTILINE)[1:]]
    assert {bullet.split("*: ", 1)[1] for bullet in bullets} == differences
