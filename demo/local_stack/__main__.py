# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: C(python -m local_stack up|seed|down|status|ports|ask [--state-dir DIR])."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .answering import ask
from .errors import StackError
from .layout import DEFAULT_STATE_DIR
from .profiles import DEFAULT_ITEMS, DEFAULT_PROFILES
from .stack import Stack


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    options = _parser().parse_args(arguments)
    stack = Stack(options.state_dir, say=lambda line: print(line, flush=True))
    try:
        return int(_COMMANDS[options.command](stack, options) or 0)
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="local_stack", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--state-dir", type=Path, default=DEFAULT_STATE_DIR, help="default: build/demo")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", parents=[common], help="make and start whatever is missing")
    up.add_argument("--items", type=int, default=DEFAULT_ITEMS, help="items of the first profile")
    up.add_argument("--router", action="store_true", help="put HAProxy in front, the standbys running behind it")
    up.add_argument("--profiles", nargs="+", default=list(DEFAULT_PROFILES))
    commands.add_parser("seed", parents=[common], help="replace the SQLite file by a fresh one")
    down = commands.add_parser("down", parents=[common], help="stop everything")
    down.add_argument("--purge", action="store_true", help="delete the state folder too")
    commands.add_parser("status", parents=[common], help="each program's state (status 1 unless all run)")
    asking = commands.add_parser("ask", parents=[common], help="what the API of a profile says")
    asking.add_argument("profile")
    commands.add_parser("ports", parents=[common], help="who listens where")
    return parser


def _up(stack: Stack, options: argparse.Namespace) -> None:
    started = time.monotonic()
    if not stack.up(items=options.items, profiles=options.profiles, router=options.router):
        print("already up, nothing to do")
    else:
        print(f"up after {time.monotonic() - started:.1f} s")
    _summary(stack)


def _summary(stack: Stack) -> None:
    description = stack.describe()
    postgres = description["postgres"]
    print(f"  postgres           127.0.0.1:{postgres['port']}  database {postgres['dbname']}")
    router = description.get("router")
    how = "standby, in PostgreSQL mode behind the router" if router else "standby, not started"
    if router:
        print(f"  {router['service']:<18} {router['base_url']}  map {router['map']}")
    for name, profile in description["profiles"].items():
        standby = profile["standby"]
        print(f"  {profile['service']:<18} {profile['base_url']}  profile {name}")
        print(f"  {standby['service']:<18} {standby['base_url']}  ({how})")
    print(f"  sqlite             {description['sqlite_path']}")
    print(f"  description        {stack.layout.description}")
    print(f"  secrets            {stack.layout.secrets}")


def _seed(stack: Stack, options: argparse.Namespace) -> None:
    for table, rows in stack.seed().items():
        print(f"  {table:<22} {rows}")


def _down(stack: Stack, options: argparse.Namespace) -> None:
    print("down" if stack.down(purge=options.purge) else "nothing was running")
    if options.purge:
        print(f"deleted {stack.layout.state_dir}")


def _status(stack: Stack, options: argparse.Namespace) -> int:
    states = stack.status()
    for name, state in states.items():
        print(f"  {name:<22} {state}")
    return 0 if all(state == "RUNNING" for name, state in states.items() if not name.endswith("-standby")) else 1


def _ports(stack: Stack, options: argparse.Namespace) -> None:
    for name, port in stack.describe()["ports"].items():
        print(f"  {name:<22} {port}")


def _ask(stack: Stack, options: argparse.Namespace) -> None:
    description = stack.describe()["profiles"][options.profile]
    for path in ("/health", "/stats", "/items?limit=1"):
        print(f"  GET {path:<15} {ask(description['base_url'], path, options.profile)}")


_COMMANDS = {"up": _up, "seed": _seed, "down": _down, "status": _status, "ports": _ports, "ask": _ask}


if __name__ == "__main__":
    sys.exit(main())
