"""Publishes from threads of a process that knows nothing of gevent.

For each line of input, four threads publish a hundred messages each, one after another, to a
channel that all have in common; then one call publishes a hundred to another channel. Prints a
line when it is done.
"""

from __future__ import annotations

import sys
from threading import Thread

from faye_redis import Publisher

THREADS, MESSAGES = 4, 100
publisher = Publisher()


def publish(line: str, thread: int) -> None:
    for number in range(MESSAGES):
        publisher.publish("/one/by/one", [line, thread, number])


for line in map(str.strip, sys.stdin):
    threads = [Thread(target=publish, args=(line, number)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    publisher.publish_all(("/together", [line, number]) for number in range(MESSAGES))
    print("gevent is here" if "gevent" in sys.modules else "done", flush=True)
