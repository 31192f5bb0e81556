"""What is published from within transactions of Django, with a real database."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import transaction

from faye_redis.django import publish_on_commit
from faye_redis.errors import PublishError
from support import django_site


class Spy:
    """Writes down what is published; refuses channels of that name."""

    def __init__(self) -> None:
        self.published: list[tuple[str, Any]] = []

    def publish(self, channel: str, data: Any) -> None:
        if channel == "/refused":
            raise PublishError("407:/refused:Failed to publish")
        self.published.append((channel, data))


@pytest.fixture
def spy() -> Spy:
    django_site.set_up()
    return Spy()


def test_a_commit_publishes_what_it_was_then(spy: Spy) -> None:
    data = {"text": "then"}
    with transaction.atomic():
        publish_on_commit(spy, "/a", data)
        data["text"] = "later"
        publish_on_commit(spy, "/b", data)
        assert spy.published == []
    assert spy.published == [("/a", {"text": "then"}), ("/b", {"text": "later"})]


def test_without_a_transaction_it_publishes_at_once(spy: Spy) -> None:
    publish_on_commit(spy, "/a", 1)
    assert spy.published == [("/a", 1)]


def test_a_rollback_publishes_nothing(spy: Spy) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        publish_on_commit(spy, "/a", 1 / 1)
        publish_on_commit(spy, "/b", 1 / 0)
    publish_on_commit(spy, "/c", 3)
    assert spy.published == [("/c", 3)]


def test_of_nested_transactions_those_that_hold_publish_at_the_end(spy: Spy) -> None:
    with transaction.atomic():
        publish_on_commit(spy, "/outer", 1)
        with transaction.atomic():
            publish_on_commit(spy, "/inner", 2)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            publish_on_commit(spy, "/undone", 1 / 1)
            raise ZeroDivisionError
        assert spy.published == []
    assert spy.published == [("/outer", 1), ("/inner", 2)]


@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_publish_that_fails_is_logged_and_stops_no_other(
    spy: Spy, caplog: pytest.LogCaptureFixture, in_transaction: bool
) -> None:
    with caplog.at_level(logging.ERROR, "django"):
        if in_transaction:
            with transaction.atomic():
                publish_on_commit(spy, "/refused", 1)
                publish_on_commit(spy, "/a", 2)
        else:
            publish_on_commit(spy, "/refused", 1)
            publish_on_commit(spy, "/a", 2)
    assert spy.published == [("/a", 2)]
    [record] = caplog.records
    assert "407:/refused:Failed to publish" in record.getMessage()


def test_what_is_no_json_is_refused_before_the_commit(spy: Spy) -> None:
    with transaction.atomic(), pytest.raises(PublishError, match=r"^400::data is no JSON: "):
        publish_on_commit(spy, "/a", object())
    assert spy.published == []
