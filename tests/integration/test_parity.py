"""The same requests to Faye's own server and to this one bring the same answers.

The cases and every difference that is meant are data, in ``parity_cases.py``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from parity import TIMEOUT, Case, as_reference, differences, expected, observe
from parity_cases import CASES
from reference import ReferenceServer

from support.gunicorn_node import Node


@pytest.fixture(scope="module")
def reference() -> Iterator[str]:
    with ReferenceServer(TIMEOUT) as server:
        yield server.url


@pytest.fixture(scope="module")
def answers(reference: str) -> dict[str, list[dict[str, Any]]]:
    """What the reference answered, by case; filled as cases run."""
    return {}


@pytest.fixture(scope="module", params=["memory", "redis"])
def node(request: pytest.FixtureRequest) -> Iterator[str]:
    """This server: one worker with the memory engine, or two with Redis."""
    env = {"FAYE_REDIS_MOUNT": "/faye", "FAYE_REDIS_TIMEOUT": str(TIMEOUT),
           "FAYE_REDIS_ALLOWED_ORIGINS": "*"}
    workers = 1
    if request.param == "redis":
        workers = 2
        env["FAYE_REDIS_URL"] = request.getfixturevalue("redis_server").url
        env["FAYE_REDIS_RESTORE_WINDOW"] = "0"
        env["FAYE_REDIS_NAMESPACE"] = f"test-{uuid.uuid4().hex[:12]}"
    with Node(env=env, workers=workers) as server:
        yield server.url


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_answer(
    case: Case, node: str, reference: str, answers: dict[str, list[dict[str, Any]]]
) -> None:
    if case.name not in answers:
        answers[case.name] = observe(case, reference)
    ours = [as_reference(observation) for observation in observe(case, node)]
    assert ours == expected(case, answers[case.name])


def test_cases_have_names_of_their_own() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))


def test_every_difference_has_a_reason() -> None:
    assert all(why.endswith(".") for _, why in differences(CASES))
