"""The command line: ``contrib/bench/run COMMAND``."""

from __future__ import annotations

import argparse
import resource
import sys
from types import ModuleType

from . import compare, growth, profile, scale
from .cache import Missing

_COMMANDS: dict[str, ModuleType] = {
    "compare": compare, "growth": growth, "profile": profile, "scale": scale}
_FILES = 65_536  # each client is an open file of the generator and one of the server


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="contrib/bench/run", description="Measurements of this server on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in _COMMANDS.items():
        text = module.__doc__ or ""
        command = commands.add_parser(
            name, description=text, help=text.splitlines()[0],
            formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add_arguments(command)
    options = parser.parse_args()
    _raise_file_limit()
    try:
        return int(_COMMANDS[options.command].main(options))
    except (Missing, RuntimeError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        return 130


def _raise_file_limit() -> None:
    """As far as it goes; root can raise the hard limit, too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in ((max(hard, _FILES),) * 2, (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            return
        except (ValueError, OSError):
            continue


if __name__ == "__main__":
    sys.exit(main())
