from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_redis.bayeux.channels import expand, is_meta, is_service

segment = st.sampled_from(["a", "b", "meta", "service", "c-1"])
segments = st.lists(segment, min_size=1, max_size=5)
wildcard = st.sampled_from(["*", "**"])


def matches(pattern: list[str], channel: list[str]) -> bool:
    """What a subscription means, said by segments."""
    *fixed, last = pattern
    rest = channel[len(fixed):]
    if channel[:len(fixed)] != fixed:
        return False
    if last == "*":
        return len(rest) == 1
    if last == "**":
        return len(rest) >= 1
    return rest == [last]


def name(parts: list[str]) -> str:
    return "/" + "/".join(parts)


@pytest.mark.parametrize(("channel", "expected"), [
    ("/a", {"/**", "/a", "/*"}),
    ("/a/b", {"/**", "/a/b", "/a/*", "/a/**"}),
    ("/a/b/c", {"/**", "/a/b/c", "/a/b/*", "/a/**", "/a/b/**"}),
    ("/services/x", {"/**", "/services/x", "/services/*", "/services/**"}),
    ("/service", {"/service"}),
    ("/service/x", {"/service/x", "/service/*", "/service/**"}),
    ("/service/x/y", {"/service/x/y", "/service/x/*", "/service/**", "/service/x/**"}),
])
def test_expand(channel, expected):
    assert set(expand(channel)) == expected
    assert len(expand(channel)) == len(expected)


broadcast = segments.filter(lambda parts: parts[0] != "service")


@given(broadcast, st.lists(segment, max_size=5), wildcard)
def test_expand_gives_what_matches(channel, prefix, last):
    expanded = expand(name(channel))
    assert (name([*prefix, last]) in expanded) == matches([*prefix, last], channel)
    assert len(set(expanded)) == len(expanded)
    assert all(matches(found.split("/")[1:], channel) for found in expanded)


@given(segments, segments, wildcard)
def test_prefixes_of_the_channel_itself(channel, other, last):
    for depth in range(len(channel) + 1):
        pattern = [*channel[:depth], last]
        expected = matches(pattern, channel) and (channel[0] != "service" or depth > 0)
        assert (name(pattern) in expand(name(channel))) == expected
    assert (name(other) in expand(name(channel))) == (other == channel)


@given(segments)
def test_service_messages_match_no_pattern_open_to_remote_clients(parts):
    for found in expand(name(["service", *parts])):
        assert is_service(found)


@pytest.mark.parametrize(("channel", "meta", "service"), [
    ("/meta", True, False), ("/meta/connect", True, False), ("/meta/connect/x", True, False),
    ("/meta/*", True, False), ("/meta/**", True, False), ("/metadata", False, False),
    ("/meta/", False, False), ("/meta/connect\n", False, False), ("meta", False, False),
    ("/a/meta", False, False), ("/Meta/x", False, False), ("/*", False, False),
    ("/service", False, True), ("/service/x", False, True), ("/service/**", False, True),
    ("/services", False, False), ("/service/", False, False), ("", False, False),
])
def test_meta_and_service(channel, meta, service):
    assert (is_meta(channel), is_service(channel)) == (meta, service)
