"""The command ``faye-redis``: what cron and administrators run beside the server.

Exit codes: 0 done, 1 Redis cannot be reached, 2 wrong usage or a wrong option.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

import orjson

from . import __version__, logs
from .engines import create_engine
from .errors import ConfigurationError, EngineError, PublishError
from .publisher import Publisher
from .settings import Settings

_VARIABLES = """\
Every option of the engine can be given as an environment variable FAYE_REDIS_<OPTION>
(FAYE_REDIS_PASSWORD, FAYE_REDIS_CLIENT_TIMEOUT, ...): use the same values as the servers.
"""

_CLEANUP = _VARIABLES + """
  faye-redis cleanup --url redis://localhost/0 --namespace my-app

Once an hour by cron, where gc_interval is 0 on the servers:
  0 * * * *  FAYE_REDIS_URL=redis://localhost/0  faye-redis cleanup
"""

_PUBLISH = _VARIABLES + """
  faye-redis publish /news '{"text": "hello"}' --url redis://localhost/0
  df --output=pcent / | tail -1 | jq -R . | faye-redis publish /disk -
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        return 0
    except (ConfigurationError, EngineError, PublishError) as error:
        print(f"faye-redis: {_text(error)}", file=sys.stderr)
        return 1 if isinstance(error.__cause__ or error, EngineError) else 2


def _text(error: Exception) -> str:
    return f"{error} ({error.__cause__})" if error.__cause__ else str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="faye-redis")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(
        name: str, run: Callable[[argparse.Namespace], None], help: str, description: str,
        epilog: str,
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=help, description=description, epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter)
        added.add_argument("--url", help="redis://, rediss:// or unix:// URL")
        added.add_argument("--namespace", help="namespace of the servers")
        added.set_defaults(run=run)
        return added

    command("cleanup", _cleanup, "remove expired clients and what they left in Redis",
            "Remove clients not seen for client_timeout, and whatever lost keys left behind. Safe\n"
            "while servers run; prints how many clients were removed.", _CLEANUP)
    publish = command("publish", _publish, "publish a message",
                      "Publish a message to whoever subscribes to its channel.", _PUBLISH)
    publish.add_argument("channel", help="where to, /news for example")
    publish.add_argument("data", help="what, as JSON; - reads it from standard input")
    return parser


def _settings(options: argparse.Namespace) -> dict[str, object]:
    given = {"url": options.url, "namespace": options.namespace}
    return {"engine": {"type": "redis"}
            | {name: value for name, value in given.items() if value is not None}}


def _cleanup(options: argparse.Namespace) -> None:
    settings = Settings.load(_settings(options), os.environ).engine
    logs.configure(settings.log_level)
    engine = create_engine(settings)
    try:
        engine.check()
        print(engine.cleanup_expired(), "expired clients removed")
    finally:
        engine.close()


def _publish(options: argparse.Namespace) -> None:
    data = sys.stdin.buffer.read() if options.data == "-" else options.data
    with Publisher(_settings(options)) as publisher:
        try:
            message = orjson.loads(data)
        except ValueError as problem:
            raise PublishError(f"400::data is no JSON: {problem}") from None
        publisher.check()
        publisher.publish(options.channel, message)


if __name__ == "__main__":
    sys.exit(main())
