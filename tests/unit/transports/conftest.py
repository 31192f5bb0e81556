"""A site per test, at the end of which no socket may be left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from recording_site import Site

from support.waiting import eventually


@pytest.fixture
def make_site() -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(**options: Any) -> Site:
        sites.append(Site(**options))
        return sites[-1]
    yield make
    for site in sites:
        site.server.gate.set()
        for peer in site.peers:
            peer.sock.close()
        eventually(lambda site=site: site.transports.open_sockets == 0)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()
