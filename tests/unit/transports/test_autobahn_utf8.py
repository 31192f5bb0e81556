"""Chapter 6 of the Autobahn test suite: what is UTF-8 (RFC 3629) and what is not."""

from __future__ import annotations

import pytest
from autobahn import (
    PER_FRAME,
    PING,
    TEXT,
    Case,
    check,
    chopped,
    fragments,
    message,
)
from recording_site import Site, frame

KOSME = bytes.fromhex("ceba e1bdb9 cf83 cebc ceb5")  # a Greek word
SURROGATE = KOSME + b"\xed\xa0\x80edited"
TOO_HIGH = KOSME + b"\xf4\x90\x80\x80edited"
"""U+110000, the first beyond Unicode; its second octet is the one that cannot be."""


# 6.1 to 6.4: messages and their fragments

def halves(text: str) -> list[bytes]:
    """A message with the id ``text``, cut in the middle of that: once inside a character, once
    between two."""
    data = message(text)
    at = len(message("")) - 2 + len(text.encode()) // 2
    return [data[:at], data[at:]]


BROKEN = frame(TEXT, TOO_HIGH)
TEXTS = ["Hello-µ@ßöäüàá-UTF-8!!", KOSME.decode()]

MESSAGES = [
    Case("6.1.2", fragments(b"", b"", b""), junk=[b""]),
    Case("6.1.3", fragments(b"", message("middle"), b""), ids=["middle"]),
    *(Case(f"6.2.1, {text}", [frame(TEXT, message(text))], ids=[text]) for text in TEXTS),
    *(Case(f"6.2.2, {text}", fragments(*halves(text)), ids=[text]) for text in TEXTS),
    *(Case(f"6.2.{number}", fragments(*chopped(message(text), 1)), ids=[text])
      for number, text in enumerate(TEXTS, 3)),
    Case("6.3.1", [frame(TEXT, SURROGATE)], code=1007),
    Case("6.3.2", fragments(*chopped(SURROGATE, 1)), code=1007),
    # The suite would like to see these failed before their end, but does not insist on it.
    Case("6.4.1", fragments(KOSME, TOO_HIGH[11:15], b"edited"), code=1007),
    Case("6.4.2", fragments(TOO_HIGH[:12], TOO_HIGH[12:13], TOO_HIGH[13:]), code=1007),
    Case("6.4.3", [BROKEN[:17], BROKEN[17:21], BROKEN[21:]], code=1007),
    Case("6.4.4", [BROKEN[:18], BROKEN[18:19], BROKEN[19:]], code=1007),
    Case("behind a good one", [frame(TEXT, message("good")), frame(TEXT, SURROGATE)],
         ids=["good"], code=1007),
    Case("good ones behind it", [frame(TEXT, SURROGATE), frame(TEXT, message("late")),
                                 *fragments(*halves("late"))], code=1007),
    Case("in a ping", [frame(PING, SURROGATE)], [SURROGATE]),
]


@pytest.mark.parametrize("case", MESSAGES, ids=lambda case: case.number)
def test_messages(site: Site, case: Case, caplog: pytest.LogCaptureFixture) -> None:
    check(site, case, caplog)


# 6.5 to 6.23: sequences, most of them from Markus Kuhn's "UTF-8 decoder capability and stress
# test". In the suite's numbers, the first two digits are those of the section here.

def lines(text: str) -> list[bytes]:
    return [bytes.fromhex(line) for line in text.split(",")]


def lonely(first: int, last: int) -> bytes:
    """First octets of a sequence, each before a space."""
    return b"".join(b"%c " % octet for octet in range(first, last))


CUT_OFF = lines("c0, e080, f08080, f8808080, fc80808080, df, efbf, f7bfbf, fbbfbfbf, fdbfbfbfbf")
NONCHARACTERS = [chr(plane + low).encode()
                 for plane in range(0, 0x110000, 0x10000) for low in (0xFFFE, 0xFFFF)]

VALID: dict[str, list[bytes]] = {
    "6.5, some": [*(f"hello{char}world".encode() for char in "$¢€𤭢"), KOSME],
    "6.6, prefixes": [KOSME[:size] for size in (2, 5, 7, 9, 11)],
    "6.7, first of a length": lines("c280, e0a080, f0908080"),
    "6.9, last of a length": lines("7f, dfbf, efbfbf, f48fbfbf"),
    "6.11, around the surrogates": lines("ed9fbf, ee8080, efbfbd, f48fbfbf"),
    "6.22, non-characters": NONCHARACTERS,
    "6.23, specials": lines("efbfb9, efbfba, efbfbb, efbfbc, efbfbd, efbfbe, efbfbf"),
}

INVALID: dict[str, list[bytes]] = {
    "6.6, prefixes": [KOSME[:size] for size in (1, 3, 4, 6, 8, 10)],
    "6.8, first of 5 or 6 octets": lines("f888808080, fc8480808080"),
    "6.10, last of 4 to 6 octets": lines("f7bfbfbf, fbbfbfbfbf, fdbfbfbfbfbf"),
    "6.11, beyond the last": lines("f4908080"),
    "6.12, only continuations": [*lines("80, bf"), *((b"\x80\xbf" * 3)[:size]
                                                     for size in range(2, 7)),
                                 bytes(range(0x80, 0xBF))],
    "6.13, lonely first octets": [lonely(0xC0, 0xDF), lonely(0xE0, 0xEF), lonely(0xF0, 0xF7),
                                  lonely(0xF8, 0xFB), lonely(0xFC, 0xFD)],
    "6.14, last octet missing": CUT_OFF,
    "6.15, one after the other": [b"".join(CUT_OFF)],
    "6.16, impossible": lines("fe, ff, fefeffff"),
    "6.17, overlong": lines("c0af, e080af, f08080af, f8808080af, fc80808080af"),
    "6.18, longest overlong": lines("c1bf, e09fbf, f08fbfbf, f887bfbfbf, fc83bfbfbfbf"),
    "6.19, overlong NUL": lines("c080, e08080, f0808080, f880808080, fc8080808080"),
    "6.20, surrogates": lines("eda080, edadbf, edae80, edafbf, edb080, edbe80, edbfbf"),
    "6.21, pairs of them": lines(
        "eda080edb080, eda080edbfbf, edadbfedb080, edadbfedbfbf, "
        "edae80edb080, edae80edbfbf, edafbfedb080, edafbfedbfbf"),
}


def within(data: bytes) -> bytes:
    """A message with the id ``data``, which may be anything."""
    return message("?").replace(b"?", data)


@pytest.mark.parametrize("section", VALID)
def test_valid(site: Site, section: str, caplog: pytest.LogCaptureFixture) -> None:
    for data in VALID[section]:
        whole, ids = within(data), [data.decode()]
        # As in the suite: no JSON.
        check(site, Case(f"{data!r}", [frame(TEXT, data)], junk=[data]), caplog)
        check(site, Case(f"{data!r} in JSON", [frame(TEXT, whole)], ids=ids), caplog)
        check(site, Case(f"{data!r} in pieces", fragments(*chopped(whole, 1)), ids=ids,
                         chops=[PER_FRAME]), caplog)


@pytest.mark.parametrize("section", INVALID)
def test_invalid(site: Site, section: str, caplog: pytest.LogCaptureFixture) -> None:
    for data in INVALID[section]:
        check(site, Case(f"{data!r}", [frame(TEXT, data)], code=1007), caplog)
        check(site, Case(f"{data!r} in JSON", [frame(TEXT, within(data))], code=1007), caplog)
        check(site, Case(f"{data!r} in pieces", fragments(*chopped(data, 1)), code=1007,
                         chops=[PER_FRAME]), caplog)


def test_nul_is_utf8_but_no_json(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """6.7.1."""
    for junk in (b"\0", within(b"\0")):
        check(site, Case(f"{junk!r}", [frame(TEXT, junk)], junk=[junk]), caplog)
