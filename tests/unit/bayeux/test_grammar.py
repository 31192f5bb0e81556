from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faye_redis.bayeux.grammar import (
    is_channel,
    is_client_id,
    is_counter,
    is_pattern,
    is_subscription,
)

CHANNELS = ["/a", "/foo", "/foo/bar", "/a/b/c/d", "/0", "/A-Z_", "/!~()$@", "/meta/connect",
            "/service", "/a" * 200]
PATTERNS = ["/*", "/**", "/foo/*", "/foo/**", "/a/b/c/**"]
NEITHER = ["", "/", "foo", "//a", "/a/", "/a//b", "/a b", "/föö", "/\u0663", "/\uff41", "/a.b",
           "/a:b", "/a?b", "/a[b]", "/{x}", "/a,b", "/a%20b", "a/*", "*", "**", "/***", "/a*",
           "/*a", "/a/*/b", "/*/a", "/**/a", "/a/**/", "/a\n", "\n/a", "x\n/a", "/a/*\n", "/a\r\n",
           "/a\x00", None, 5, True, b"/a", ["/a"], {}, {"/a": 1}]

# Faye's expressions in their own terms: one of four alternatives per character, and `$`, which
# in Python also matches before a last newline, as `\Z`.
LEGAL = r"(?:[a-z]|[A-Z]|[0-9]|\-|\_|\!|\~|\(|\)|\$|\@)"
FAYE_CHANNEL = re.compile(rf"^/{LEGAL}+(/{LEGAL}+)*\Z")
FAYE_PATTERN = re.compile(rf"^(/{LEGAL}+)*/\*{{1,2}}\Z")

near_names = st.lists(
    st.sampled_from(["/", "a", "Z9", "-_!~()$@", "*", "**", ".", " ", "\n", "é", ":"]), max_size=10
).map("".join)


@pytest.mark.parametrize("name", CHANNELS)
def test_channels(name):
    assert (is_channel(name), is_pattern(name), is_subscription(name)) == (True, False, True)


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns(name):
    assert (is_channel(name), is_pattern(name), is_subscription(name)) == (False, True, True)


@pytest.mark.parametrize("name", NEITHER, ids=repr)
def test_neither(name):
    assert (is_channel(name), is_pattern(name), is_subscription(name)) == (False, False, False)


@given(near_names | st.text())
def test_same_language_as_faye(name):
    assert is_channel(name) == bool(FAYE_CHANNEL.match(name))
    assert is_pattern(name) == bool(FAYE_PATTERN.match(name))


@pytest.mark.parametrize("name", ["/a" * 500_000 + "\n", "/" + "a" * 1_000_000 + " ",
                                  "/a" * 500_000 + "/***"], ids=["deep", "long", "stars"])
def test_no_input_makes_a_match_slow(name):
    started = time.perf_counter()
    assert not is_subscription(name)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(("name", "expected"), [
    ("a", True), ("0", True), ("k1rst7s0dx2bd1", True), ("a" * 64, True),
    ("", False), ("a" * 65, False), ("A", False), ("a-b", False), ("a:b", False), ("*", False),
    ("a\n", False), ("a\x00", False), ("ä", False), (5, False), (None, False), (["a"], False),
], ids=repr)
def test_client_ids(name, expected):
    assert is_client_id(name) is expected


@pytest.mark.parametrize(("text", "expected"), [
    ("1", True), ("zik0zj", True), ("9007199254740991", True),
    ("", False), ("1f" * 16, False), ("6ba7b810-9dad-11d1", False), ("A1", False), ("1.5", False),
    ("-1", False), ("1\n", False), ("\u0663", False),
])
def test_counters(text, expected):
    assert is_counter(text) is expected
