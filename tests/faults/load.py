# SPDX-License-Identifier: GPL-3.0-or-later
"""C(python -m faults.load): write to every profile of a running local stack for a while, then look for each write."""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from local_stack.errors import StackError
from local_stack.layout import DEFAULT_STATE_DIR
from local_stack.stack import Stack

from .clients import LoadGenerator
from .verifier import Store, postgres_store, sqlite_store, verify

_ITEMS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and return the exit status: 0 when every acknowledged write was found."""
    options = _parse(arguments)
    stack = Stack(options.state_dir)
    try:
        description, secrets = stack.describe(), stack.secrets()
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    seed = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
    print(f"seed {seed}, {options.clients} clients, {options.seconds:g} s", flush=True)
    profiles = list(description["profiles"])
    items = items_of(description["sqlite_path"], profiles, _ITEMS)
    generator = LoadGenerator(items, lambda profile: base_url(description, profile), seed, options.clients)
    with generator:
        time.sleep(options.seconds)
    stores: dict[str, Store] = {
        profile: postgres_store(tenant_dsn(description, secrets))
        if profile in options.postgres
        else sqlite_store(description["sqlite_path"])
        for profile in profiles
    }
    verdict = verify(generator.expected, stores)
    print(json.dumps({"seed": seed, "profiles": generator.report().as_dict(), "verdict": vars(verdict)}, indent=2))
    return 0 if verdict.good else 1


def items_of(sqlite_path: str | Path, profiles: Sequence[str], most: int) -> dict[str, list[str]]:
    """Return ids of items of each profile, at most so many."""
    with closing(sqlite3.connect(f"{Path(sqlite_path).resolve().as_uri()}?mode=ro", uri=True)) as connection:
        query = "SELECT id FROM videos WHERE source_id = ? ORDER BY id LIMIT ?"
        return {profile: [row[0] for row in connection.execute(query, (profile, most))] for profile in profiles}


def base_url(description: dict[str, Any], profile: str) -> str:
    """Return where a stack serves a profile: by its router where it has one, by the profile's instance otherwise."""
    router = description.get("router")
    return str(router["base_url"] if router else description["profiles"][profile]["base_url"])


def tenant_dsn(description: dict[str, Any], secrets: dict[str, str]) -> str:
    """Return the superuser's way into the database of the profiles, where no right is missing."""
    return f"{secrets['superuser_dsn'].rpartition('/')[0]}/{description['postgres']['dbname']}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="faults.load", description=__doc__)
    parser.add_argument("--state-dir", type=Path, default=DEFAULT_STATE_DIR, help="of the stack; default: build/demo")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, help="default: a new one, which is printed")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--postgres", nargs="*", default=[], metavar="PROFILE", help="profiles that live in PostgreSQL")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
