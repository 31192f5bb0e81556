"""The demo: two browser windows on two workers, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from support.browser import chromium
from support.processes import alive, descendants, end, free_port, spawn
from support.waiting import eventually

DEMO = Path(__file__).resolve().parents[2] / "contrib" / "demo"
WORKERS = 2
SERVERS = 2  # valkey and gunicorn's master
CONNECTED = "#state[data-state=connected]"
ATTEMPTS = 50  # one connection lands on either worker; 50 on the same one: never by chance


class Demo:
    """A running demo, its address, all of its processes, and where its files are."""

    def __init__(self, directory: Path, log: Path) -> None:
        self.directory = directory
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        with log.open("wb") as output:
            self.process: subprocess.Popen[Any] = spawn(
                [sys.executable, DEMO / "run.py", DEMO, str(port)],
                env={**os.environ, "TMPDIR": str(directory)}, stdout=output, stderr=output,
            )
        eventually(lambda: self._announced(log), timeout=60)
        self.pids = [self.process.pid, *descendants(self.process.pid)]

    def _announced(self, log: Path) -> bool:
        assert self.process.poll() is None, log.read_text()
        everything_runs = len(descendants(self.process.pid)) == SERVERS + WORKERS
        return everything_runs and self.url in log.read_text()

    def left(self) -> list[int]:
        return [pid for pid in self.pids if alive(pid)]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    # Not below tmp_path: the path of a Unix socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="demo-") as directory:
        started = Demo(Path(directory), tmp_path / "log")
        yield started
        end(started.process, timeout=20)
        eventually(lambda: not started.left())


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def open_window(browser: Browser, demo: Demo) -> Page:
    window = browser.new_context().new_page()
    window.goto(demo.url)
    window.wait_for_selector(CONNECTED)
    return window


def worker_of(window: Page) -> str:
    return window.get_attribute("#worker", "data-worker") or ""


def move_to_another_worker(window: Page, worker: str) -> None:
    for _ in range(ATTEMPTS):
        if worker_of(window) != worker:
            return
        window.click("#reconnect")
        window.wait_for_selector(CONNECTED)
    raise AssertionError(f"{ATTEMPTS} connections were all accepted by worker {worker}")


def say(window: Page, text: str) -> None:
    window.fill("#message", text)
    window.click("#send")


def texts(window: Page) -> list[str]:
    return window.locator("#messages .text").all_inner_texts()


def test_windows_on_different_workers_see_each_other(browser: Browser, demo: Demo) -> None:
    one, two = open_window(browser, demo), open_window(browser, demo)
    move_to_another_worker(two, worker_of(one))
    assert {int(worker_of(one)), int(worker_of(two))} < set(demo.pids)

    say(one, "Grüße <from> one")
    eventually(lambda: texts(two) == ["Grüße <from> one"])
    assert two.get_attribute("#messages li", "data-worker") == worker_of(one)
    say(two, "and back")
    eventually(lambda: texts(one) == ["Grüße <from> one", "and back"])
    eventually(lambda: texts(two) == ["Grüße <from> one", "and back"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(browser: Browser, demo: Demo, number: int) -> None:
    open_window(browser, demo)
    assert list(demo.directory.iterdir())
    demo.process.send_signal(number)
    assert demo.process.wait(20) == 0
    assert demo.left() == []
    assert list(demo.directory.iterdir()) == []


def test_kill_ends_every_process(browser: Browser, demo: Demo) -> None:
    open_window(browser, demo)
    demo.process.kill()
    eventually(lambda: demo.left() == [], timeout=20)
