"""What every engine promises (``engines/base.py``), one verb after the other."""

from __future__ import annotations

import re

import gevent
import pytest

from faye_redis.engines.base import Engine, Progress, Standing, Verdict
from faye_redis.errors import Superseded, UnknownClient
from support.waiting import eventually

from .recorder import Recorder

NOBODY = "nosuchclientnosuchclientnosuchc"


def publish(engine: Engine, channel: str, text: str, operation: str = "") -> int:
    return engine.publish(channel, text.encode(), operation or f"op-{channel}-{text}")


def read(engine: Engine, client_id: str, limit: int = 100) -> list[str]:
    """What a connection that begins now would get."""
    session = engine.connect(client_id, "", stream=True)
    after = {name: max(start, session.cursor) for name, start in session.subscriptions.items()}
    return [message.payload.decode() for message in engine.read(after, limit).messages]


def subscriber(engine: Engine, *channels: str) -> str:
    client_id = engine.create_client()
    engine.subscribe(client_id, channels)
    return client_id


class TestClients:
    def test_ids_are_31_characters_of_base_36_and_differ(self, engine: Engine) -> None:
        ids = {engine.create_client() for _ in range(20)}
        assert len(ids) == 20
        assert all(re.fullmatch("[0-9a-z]{31}", id) for id in ids)

    def test_a_created_client_exists_at_once(self, engine: Engine) -> None:
        engine.touch(engine.create_client())

    @pytest.mark.parametrize("verb", [
        lambda engine: engine.touch(NOBODY),
        lambda engine: engine.subscribe(NOBODY, ["/a"]),
        lambda engine: engine.unsubscribe(NOBODY, ["/a"]),
        lambda engine: engine.connect(NOBODY, "1", False),
        lambda engine: engine.session(NOBODY, 1),
        lambda engine: engine.destroy_client(NOBODY),
    ])
    def test_an_unknown_client_is_refused(self, engine: Engine, verb: object) -> None:
        with pytest.raises(UnknownClient):
            verb(engine)  # type: ignore[operator]

    def test_an_unknown_client_gets_no_subscription(self, engine: Engine) -> None:
        with pytest.raises(UnknownClient):
            engine.subscribe(NOBODY, ["/a"])
        publish(engine, "/a", "1")
        assert engine.read({"/a": 0}, 10).messages == []

    def test_a_destroyed_client_is_unknown(self, engine: Engine) -> None:
        client_id = engine.create_client()
        assert engine.destroy_client(client_id) == []
        with pytest.raises(UnknownClient):
            engine.touch(client_id)

    def test_destroying_succeeds_once_and_tells_the_channels(self, engine: Engine) -> None:
        client_id = subscriber(engine, "/a", "/b/*")
        assert sorted(engine.destroy_client(client_id)) == ["/a", "/b/*"]
        with pytest.raises(UnknownClient):
            engine.destroy_client(client_id)

    def test_destroying_tells_the_worker_that_holds_the_client(
        self, engine: Engine, events: Recorder
    ) -> None:
        client_id = engine.create_client()
        engine.connect(client_id, "1", stream=True)
        engine.destroy_client(client_id)
        eventually(lambda: ("destroyed", client_id) in events.calls)


class TestSubscriptions:
    def test_subscribing_returns_the_new_ones_only(self, engine: Engine) -> None:
        client_id = engine.create_client()
        assert engine.subscribe(client_id, ["/a", "/b"]) == ["/a", "/b"]
        assert engine.subscribe(client_id, ["/b", "/c", "/c"]) == ["/c"]

    def test_unsubscribing_returns_those_that_were(self, engine: Engine) -> None:
        client_id = subscriber(engine, "/a", "/b")
        assert engine.unsubscribe(client_id, ["/b", "/x"]) == ["/b"]
        assert engine.unsubscribe(client_id, ["/b"]) == []
        publish(engine, "/a", "1")
        publish(engine, "/b", "2")
        assert read(engine, client_id) == ["1"]

    def test_only_what_comes_after_counts(self, engine: Engine) -> None:
        other = subscriber(engine, "/a")
        publish(engine, "/a", "before")
        client_id = subscriber(engine, "/a")
        publish(engine, "/a", "after")
        assert read(engine, client_id) == ["after"]
        assert read(engine, other) == ["before", "after"]

    def test_subscribing_again_keeps_the_place(self, engine: Engine) -> None:
        client_id = subscriber(engine, "/a")
        publish(engine, "/a", "1")
        engine.subscribe(client_id, ["/a"])
        assert read(engine, client_id) == ["1"]

    def test_a_change_raises_the_version_and_is_told(
        self, engine: Engine, events: Recorder
    ) -> None:
        client_id = engine.create_client()
        session = engine.connect(client_id, "1", stream=True)
        engine.subscribe(client_id, ["/a"])
        engine.subscribe(client_id, ["/a"])
        engine.unsubscribe(client_id, ["/a"])

        def told() -> list[int]:
            return [call[2] for call in events.calls if call[:2] == ("changed", client_id)]
        eventually(lambda: len(told()) >= 2)
        assert told() == [session.version + 1, session.version + 2]
        assert engine.session(client_id, session.epoch).version == session.version + 2

    def test_a_log_goes_with_its_last_subscriber(self, engine: Engine) -> None:
        first, second = subscriber(engine, "/a"), subscriber(engine, "/a")
        publish(engine, "/a", "1")
        engine.unsubscribe(first, ["/a"])
        assert len(engine.read({"/a": 0}, 10).messages) == 1
        engine.destroy_client(second)
        assert engine.read({"/a": 0}, 10).messages == []


class TestMessages:
    @pytest.mark.parametrize(("subscription", "heard"), [
        ("/a/b", ["/a/b"]),
        ("/a/*", ["/a/b", "/a/c"]),
        ("/a/**", ["/a/b", "/a/c", "/a/b/c"]),
        ("/*", ["/a"]),
        ("/**", ["/a", "/a/b", "/a/c", "/a/b/c", "/x/y"]),
    ])
    def test_patterns(self, engine: Engine, subscription: str, heard: list[str]) -> None:
        client_id = subscriber(engine, subscription)
        for channel in ("/a", "/a/b", "/a/c", "/a/b/c", "/x/y"):
            publish(engine, channel, channel)
        assert read(engine, client_id) == heard

    def test_overlapping_patterns_give_one_copy(self, engine: Engine) -> None:
        client_id = subscriber(engine, "/a/b", "/a/*", "/a/**", "/**")
        publish(engine, "/a/b", "1")
        publish(engine, "/a/b", "2")
        assert read(engine, client_id) == ["1", "2"]

    def test_ids_grow(self, engine: Engine) -> None:
        ids = [publish(engine, "/a", str(number)) for number in range(100)]
        assert ids == sorted(set(ids))

    def test_an_operation_is_carried_out_once(self, engine: Engine) -> None:
        client_id = subscriber(engine, "/a")
        first = publish(engine, "/a", "1", operation="same")
        assert publish(engine, "/a", "1", operation="same") == first
        assert read(engine, client_id) == ["1"]

    def test_payloads_are_any_bytes(self, engine: Engine) -> None:
        client_id = subscriber(engine, "/a")
        payload = '{"data":"\\u0000 é 🎈 \r\n  "}'
        publish(engine, "/a", payload)
        assert read(engine, client_id) == [payload]

    def test_followed_channels_are_heard_in_order(
        self, engine: Engine, events: Recorder
    ) -> None:
        subscriber(engine, "/a/*")
        engine.follow(["/a/*"])
        ids = [publish(engine, f"/a/{number}", str(number)) for number in range(50)]
        eventually(lambda: len(events.heard) >= 50)
        assert [message.id for message in events.heard] == ids
        assert [message.channel for message in events.heard] == [f"/a/{n}" for n in range(50)]

    def test_nothing_is_kept_without_subscribers(self, engine: Engine) -> None:
        publish(engine, "/a", "1")
        assert engine.read({"/a": 0, "/**": 0}, 10).messages == []


class TestReading:
    def test_several_logs_become_one_order(self, engine: Engine) -> None:
        subscriber(engine, "/a", "/b")
        for number in range(6):
            publish(engine, "/ab"[0] + "ab"[number % 2], str(number))
        batch = engine.read({"/a": 0, "/b": 0}, 10)
        assert [message.payload for message in batch.messages] == [b"0", b"1", b"2", b"3", b"4",
                                                                   b"5"]
        assert batch.complete

    def test_a_limited_read_goes_on_where_it_ended(self, engine: Engine) -> None:
        subscriber(engine, "/a", "/b")
        for number in range(7):
            publish(engine, "/a", f"a{number}")
            publish(engine, "/b", f"b{number}")
        position, payloads, complete = 0, [], False
        while not complete:
            batch = engine.read({"/a": position, "/b": position}, 3)
            position, complete = batch.position, batch.complete
            payloads += [message.payload.decode() for message in batch.messages]
        assert payloads == [f"{log}{number}" for number in range(7) for log in "ab"]

    def test_the_position_is_the_last_id_of_all(self, engine: Engine) -> None:
        subscriber(engine, "/a")
        last = publish(engine, "/elsewhere", "1")
        assert engine.read({"/a": 0}, 10) == ([], last, True, False)


class TestConnecting:
    def test_each_connect_has_a_higher_epoch(self, engine: Engine) -> None:
        client_id = engine.create_client()
        epochs = [engine.connect(client_id, str(number), False).epoch for number in range(3)]
        assert epochs == sorted(set(epochs))

    def test_an_older_connection_is_superseded(self, engine: Engine) -> None:
        client_id = engine.create_client()
        old = engine.connect(client_id, "1", False)
        new = engine.connect(client_id, "2", False)
        with pytest.raises(Superseded):
            engine.session(client_id, old.epoch)
        assert engine.session(client_id, new.epoch) == new

    def test_the_next_connect_confirms_the_answer(self, engine: Engine) -> None:
        client_id = subscriber(engine, "/a")
        position = publish(engine, "/a", "1")
        session = engine.connect(client_id, "1", False)
        assert engine.answer(client_id, session, "1", position) is Verdict.RECORDED
        assert engine.connect(client_id, "2", False).cursor == position
        assert read(engine, client_id) == []

    def test_the_same_connect_repeats_the_answer(self, engine: Engine) -> None:
        client_id = subscriber(engine, "/a")
        session = engine.connect(client_id, "1", False)
        position = publish(engine, "/a", "1")
        engine.answer(client_id, session, "1", position)
        publish(engine, "/a", "2")
        again = engine.connect(client_id, "1", False)
        assert (again.cursor, again.repeat_to) == (session.cursor, position)

    def test_a_connect_that_was_not_answered_is_not_repeated(self, engine: Engine) -> None:
        client_id = subscriber(engine, "/a")
        engine.connect(client_id, "1", False)
        assert engine.connect(client_id, "1", False).repeat_to is None

    @pytest.mark.parametrize(("latest", "stale"), [("2", "1"), ("10", "9"), ("1a", "z")])
    def test_a_stale_connect_is_told_to_begin_anew(
        self, engine: Engine, latest: str, stale: str
    ) -> None:
        client_id = engine.create_client()
        session = engine.connect(client_id, latest, False)
        with pytest.raises(UnknownClient):
            engine.connect(client_id, stale, False)
        assert engine.session(client_id, session.epoch).epoch == session.epoch

    def test_ids_that_are_no_counters_are_always_new(self, engine: Engine) -> None:
        client_id = engine.create_client()
        engine.connect(client_id, "f" * 32, False)
        engine.connect(client_id, "a" * 32, False)

    def test_a_connect_without_an_id_confirms(self, engine: Engine) -> None:
        client_id = subscriber(engine, "/a")
        position = publish(engine, "/a", "1")
        session = engine.connect(client_id, "", False)
        engine.answer(client_id, session, "", position)
        assert engine.connect(client_id, "", False).cursor == position

    def test_a_stream_gets_again_what_was_not_confirmed(self, engine: Engine) -> None:
        client_id = subscriber(engine, "/a")
        position = publish(engine, "/a", "1")
        session = engine.connect(client_id, "1", False)
        engine.answer(client_id, session, "1", position)
        assert read(engine, client_id) == ["1"]

    @pytest.mark.parametrize(("next_id", "verdict"), [
        ("2", Verdict.REPLACED), ("1", Verdict.REPEATED)])
    def test_a_connection_that_was_taken_over_may_not_answer(
        self, engine: Engine, next_id: str, verdict: Verdict
    ) -> None:
        client_id = engine.create_client()
        session = engine.connect(client_id, "1", False)
        engine.connect(client_id, next_id, False)
        assert engine.answer(client_id, session, "1", 5) is verdict

    def test_an_answer_must_cover_the_present_subscriptions(self, engine: Engine) -> None:
        client_id = engine.create_client()
        session = engine.connect(client_id, "1", False)
        engine.subscribe(client_id, ["/a"])
        assert engine.answer(client_id, session, "1", 5) is Verdict.CHANGED
        now = engine.session(client_id, session.epoch)
        assert engine.answer(client_id, now, "1", 5) is Verdict.RECORDED

    def test_no_answer_for_a_client_that_left(self, engine: Engine) -> None:
        client_id = engine.create_client()
        session = engine.connect(client_id, "1", False)
        engine.destroy_client(client_id)
        assert engine.answer(client_id, session, "1", 5) is Verdict.GONE

    def test_a_worker_hears_of_connects_that_go_by_its_stream(
        self, engine: Engine, events: Recorder
    ) -> None:
        client_id = engine.create_client()
        engine.connect(client_id, "", stream=True)
        engine.touch(client_id)
        engine.touch(client_id, "1")
        others = [("recovered",)]  # an engine may say so when it begins
        eventually(lambda: [call for call in events.calls if call not in others])
        assert [call for call in events.calls if call not in others] == [
            ("connected", client_id, "1")]

    def test_a_position_does_not_count_for_later_subscriptions(self, engine: Engine) -> None:
        client_id = engine.create_client()
        session = engine.connect(client_id, "1", True)
        engine.subscribe(client_id, ["/a"])
        start = engine.session(client_id, session.epoch).subscriptions["/a"]
        engine.save([Progress(client_id, session.epoch, session.version, start + 50,
                              Standing.OWN)])
        assert engine.session(client_id, session.epoch).cursor == start

    def test_a_saved_position_only_moves_forwards(self, engine: Engine) -> None:
        client_id = engine.create_client()
        old = engine.connect(client_id, "1", True)
        engine.save([Progress(client_id, old.epoch, 0, 50, Standing.OWN)])
        engine.save([Progress(client_id, old.epoch, 0, 40, Standing.OWN)])
        new = engine.connect(client_id, "2", True)
        assert new.cursor == 50
        engine.save([Progress(client_id, old.epoch, 0, 90, Standing.OWN)])
        assert engine.session(client_id, new.epoch).cursor == 50

    def test_a_stream_that_ended_answers_who_took_over(self, engine: Engine) -> None:
        client_id = engine.create_client()
        stream = engine.connect(client_id, "1", True)
        poll = engine.connect(client_id, "2", False)
        assert [(one.epoch, one.follows) for one in poll.owed] == [(stream.epoch, False)]
        waiting = gevent.spawn(engine.release, client_id, poll, False)
        engine.save([Progress(client_id, stream.epoch, 0, 70, Standing.ENDED)])
        assert waiting.get(timeout=5) == 70
        assert engine.connect(client_id, "3", False).owed == ()

    def test_a_stream_that_does_not_answer_is_asked_once(self, engine: Engine) -> None:
        client_id = engine.create_client()
        engine.connect(client_id, "1", True)
        poll = engine.connect(client_id, "2", False)
        assert engine.release(client_id, poll, False) == 0
        assert engine.connect(client_id, "3", False).owed == ()

    def test_a_stream_that_has_ended_is_owed_nothing(self, engine: Engine) -> None:
        client_id = engine.create_client()
        stream = engine.connect(client_id, "1", True)
        for standing in (Standing.ENDED, Standing.FOLLOWS):
            engine.save([Progress(client_id, stream.epoch, 0, 70, standing)])
        session = engine.connect(client_id, "2", False)
        assert (session.owed, session.cursor) == ((), 70)
