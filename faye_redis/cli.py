"""The command ``faye-redis``: what cron and administrators run beside the server.

Exit codes: 0 done, 1 Redis cannot be reached, 2 wrong usage or a wrong option.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from . import __version__, logs
from .engines import create_engine
from .errors import ConfigurationError, EngineError
from .settings import Settings

_EPILOG = """\
Every option of the engine can be given as an environment variable FAYE_REDIS_<OPTION>
(FAYE_REDIS_PASSWORD, FAYE_REDIS_CLIENT_TIMEOUT, ...): use the same values as the servers.

  faye-redis cleanup --url redis://localhost/0 --namespace my-app

Once an hour by cron, where gc_interval is 0 on the servers:
  0 * * * *  FAYE_REDIS_URL=redis://localhost/0  faye-redis cleanup
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.load({"engine": _engine_options(options)}, os.environ)
        logs.configure(settings.engine.log_level)
        return _cleanup(settings)
    except ConfigurationError as error:
        print(f"faye-redis: {error}", file=sys.stderr)
        return 2
    except EngineError as error:
        print(f"faye-redis: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="faye-redis")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="command")
    cleanup = commands.add_parser(
        "cleanup", help="remove expired clients and what they left in Redis",
        description="Remove clients not seen for client_timeout, and whatever lost keys left "
        "behind. Safe while servers run; prints how many clients were removed.",
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cleanup.add_argument("--url", help="redis://, rediss:// or unix:// URL")
    cleanup.add_argument("--namespace", help="namespace of the servers")
    return parser


def _engine_options(options: argparse.Namespace) -> dict[str, object]:
    given = {"url": options.url, "namespace": options.namespace}
    return {"type": "redis"} | {name: value for name, value in given.items() if value is not None}


def _cleanup(settings: Settings) -> int:
    engine = create_engine(settings.engine)
    try:
        engine.check()
        print(engine.cleanup_expired(), "expired clients removed")
    finally:
        engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
