"""The ledger counts what it should."""

from __future__ import annotations

from math import inf

from faults.ledger import Ledger, Report


def ledger(*numbers: int, channel: str = "/a") -> Ledger:
    """One client, subscribed at 10, and a publisher whose number n is published at n."""
    book = Ledger()
    book.subscribed("client", channel, 10)
    for number in numbers:
        book.publishing(1, number, number)
        book.acknowledged(1, number, "/a")
    return book


def receive(book: Ledger, *numbers: int) -> Report:
    for number in numbers:
        book.received("client", 1, number, number + 0.5)
    return book.report()


def test_all_is_well() -> None:
    report = receive(ledger(11, 12, 13), 11, 12, 13)
    assert report == Report(published=3, acknowledged=3, owed=3, copies=1)


def test_lost() -> None:
    assert receive(ledger(11, 12, 13), 11, 13).lost == 1


def test_what_was_published_before_the_subscription_or_elsewhere_is_not_owed() -> None:
    assert receive(ledger(9)).owed == 0
    assert receive(ledger(11, channel="/b")).owed == 0


def test_what_was_not_acknowledged_is_not_owed() -> None:
    book = Ledger()
    book.subscribed("client", "/a", 10)
    book.publishing(1, 11, 11)
    report = book.report()
    assert (report.published, report.acknowledged, report.owed) == (1, 0, 0)


def test_duplicates() -> None:
    report = receive(ledger(11, 12), 11, 12, 12, 12, 11)
    assert (report.duplicates, report.copies, report.lost) == (3, 3, 0)


def test_inversions_count_first_copies_only() -> None:
    assert receive(ledger(11, 12, 13), 11, 12, 11, 12, 13).inversions == 0
    assert receive(ledger(11, 12, 13, 14), 12, 11, 14, 13).inversions == 2


def test_a_lost_session() -> None:
    book = ledger(11, 15, 19)
    book.session_lost("client", 14)
    book.subscribed("client", "/a", 18)
    report = receive(book, 19)
    assert (report.owed, report.lost, report.sessions_lost) == (2, 1, 1)


def test_who_left_is_not_owed_what_was_on_its_way() -> None:
    book = ledger(11, 12, 40)
    book.left("client", 41)
    report = receive(book, 12, 12)
    assert (report.owed, report.lost, report.duplicates) == (2, 1, 1)


def test_a_failed_publish_may_be_carried_out_late() -> None:
    book = ledger(12, 13)
    book.publishing(1, 11, 11)
    assert receive(book, 12, 11, 13).inversions == 0


def test_recovery() -> None:
    book = ledger(11, 12, 13)
    receive(book, 11)
    assert book.report(healed=12).recovery == inf
    assert book.waiting(12) == 1
    receive(book, 13)
    assert book.report(healed=12).recovery == 1.5
    assert book.waiting(12) == 0
