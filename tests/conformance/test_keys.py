"""What a client takes in Redis, how long that lives, and who is told by what it says."""

from __future__ import annotations

import pytest

from faye_redis.engines.base import Progress, Standing
from faye_redis.engines.redis.engine import RedisEngine
from faye_redis.settings import EngineSettings
from support.waiting import eventually

from .conftest import MakeEngine
from .recorder import Recorder


@pytest.fixture
def recorders() -> list[Recorder]:
    return [Recorder(), Recorder()]


@pytest.fixture
def two(
    admin_settings: EngineSettings, make_engine: MakeEngine, recorders: list[Recorder]
) -> list[RedisEngine]:
    return [make_engine(admin_settings, recorder) for recorder in recorders]


def keys_of(engine: RedisEngine, client_id: str) -> list[bytes]:
    return list(engine._redis.scan_iter(f"{engine._keys.prefix}*:{client_id}"))


def subscriber(engine: RedisEngine) -> str:
    client_id = engine.create_client()
    engine.subscribe(client_id, ["/a"])
    return client_id


def test_an_idle_client_is_one_compact_key(two: list[RedisEngine]) -> None:
    engine = two[0]
    client_id = subscriber(engine)
    session = engine.connect(client_id, "1", True)
    position = engine.publish("/b", b"1", "op")
    engine.save([Progress(client_id, session.epoch, 1, position, Standing.FOLLOWS)])
    key = engine._keys.client(client_id)
    assert keys_of(engine, client_id) == [key.encode()]
    assert engine._redis.object("encoding", key) == b"listpack"
    assert sorted(engine._redis.hkeys(key)) == [
        b"/a", b"connect_id", b"cursor", b"epoch", b"kept", b"stream", b"version"]


def test_a_connect_extends_what_is_about_to_run_out(two: list[RedisEngine]) -> None:
    engine = two[0]
    client_id = subscriber(engine)
    keys = [engine._keys.client(client_id), engine._keys.subscribers("/a")]
    for key in keys:
        engine._redis.pexpire(key, engine._lifetime // 3)
    let_pass(engine, client_id)
    engine.connect(client_id, "1", False)
    eventually(lambda: all(engine._redis.pttl(key) > engine._lifetime // 2 for key in keys))


def test_it_extends_the_channels_of_a_client_whose_own_key_was_kept(two: list[RedisEngine]) -> None:
    """A worker that holds a client extends the client's key alone."""
    engine = two[0]
    client_id = subscriber(engine)
    engine._redis.pexpire(engine._keys.subscribers("/a"), engine._lifetime // 3)
    let_pass(engine, client_id)
    engine.connect(client_id, "1", False)
    eventually(lambda: engine._redis.pttl(
        engine._keys.subscribers("/a")) > engine._lifetime // 2)


def test_it_does_so_once_per_half_lifetime(two: list[RedisEngine]) -> None:
    engine = two[0]
    client_id = subscriber(engine)
    key = engine._keys.client(client_id)
    let_pass(engine, client_id)
    engine.connect(client_id, "1", False)
    engine._redis.pexpire(key, 60_000)
    engine.connect(client_id, "2", False)
    assert engine._redis.pttl(key) <= 60_000


def let_pass(engine: RedisEngine, client_id: str) -> None:
    """As if its last connect was more than half of its lifetime ago."""
    seconds, _ = engine._redis.time()
    past = seconds - engine._lifetime // 1000 * 2 // 3
    engine._redis.hset(engine._keys.client(client_id), "kept", past)


def test_a_removal_that_is_repeated_gives_the_same_answer(two: list[RedisEngine]) -> None:
    removal, client_id = two[0]._removal, subscriber(two[0])
    assert removal._begin([client_id], "one", "") == [[1, b"/a"]]
    assert removal._begin([client_id], "one", "") == [[1, b"/a"]]
    assert removal._begin([client_id], "other", "expired") == [[0, b"/a"]]
    removal._finish({client_id: ["/a"]})
    assert removal._begin([client_id], "one", "") == [[-1]]
    assert keys_of(two[0], client_id) == []


def test_whoever_holds_a_client_is_told_of_changes(
    two: list[RedisEngine], recorders: list[Recorder]
) -> None:
    client_id = subscriber(two[0])
    two[0].connect(client_id, "1", True)
    two[1].subscribe(client_id, ["/b"])
    eventually(lambda: ("changed", client_id, 2) in recorders[0].calls)
    two[1].connect(client_id, "2", False)
    two[0].unsubscribe(client_id, ["/b"])
    eventually(lambda: ("changed", client_id, 3) in recorders[1].calls)
    assert ("changed", client_id, 3) not in recorders[0].calls


def test_a_stream_that_a_poll_has_replaced_is_told_that_it_is_wanted(
    two: list[RedisEngine], recorders: list[Recorder]
) -> None:
    client_id = subscriber(two[0])
    stream = two[0].connect(client_id, "1", True)
    poll = two[1].connect(client_id, "2", False)
    two[0].save([Progress(client_id, stream.epoch, 1, 0, Standing.ENDED)])
    two[1].answer(client_id, poll, "2", 0)
    two[1].touch(client_id, "3")
    eventually(lambda: ("connected", client_id, "3") in recorders[0].calls)


def test_a_stream_is_owed_until_it_has_said_how_far_it_came(two: list[RedisEngine]) -> None:
    client_id = subscriber(two[0])
    stream = two[0].connect(client_id, "1", True)
    owed = [two[1].connect(client_id, number, False).owed for number in ("2", "3")]
    assert [[one.epoch for one in some] for some in owed] == [[stream.epoch]] * 2
    two[0].save([Progress(client_id, stream.epoch, 1, 5, Standing.ENDED)])
    session = two[1].connect(client_id, "4", False)
    assert (session.owed, session.cursor) == ((), 5)
    two[0].save([Progress(client_id, stream.epoch, 1, 9, Standing.ENDED)])
    assert two[1].connect(client_id, "5", False).cursor == 5
