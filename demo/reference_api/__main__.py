# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: C(serve) (the default), C(pg-bootstrap --source ID), C(import --csv FILE --source ID).

C(DB_READ_ONLY) blocks the HTTP routes only: an operator at the command line acts on purpose.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg2
import uvicorn

from .app import create_app
from .backend import backend_for
from .csv_import import import_csv
from .names import checked_source_id
from .postgres_schema import bootstrap_tenant
from .postgres_store import connect
from .refusal import Refusal
from .settings import MODE_PRIMARY, Settings, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(prog="reference_api")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve the API (default)")
    bootstrap = commands.add_parser("pg-bootstrap", help="create a profile's PostgreSQL schema and mapping")
    bootstrap.add_argument("--source", required=True)
    importer = commands.add_parser("import", help="import a CSV file into the store of the current mode")
    importer.add_argument("--csv", required=True, type=Path)
    importer.add_argument("--source", required=True)
    options = parser.parse_args(arguments)
    settings = load_settings()
    try:
        if options.command == "pg-bootstrap":
            return _bootstrap(settings, options.source)
        if options.command == "import":
            rows = import_csv(backend_for(settings), checked_source_id(options.source), options.csv)
            print(f"imported {rows} rows into {options.source} ({backend_for(settings).name})")
            return 0
    except (Refusal, psycopg2.Error, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    _serve(settings)
    return 0


def _bootstrap(settings: Settings, source_id: str) -> int:
    if settings.mode != MODE_PRIMARY:
        print(f"error: pg-bootstrap needs SX_DB_BACKEND_MODE={MODE_PRIMARY}", file=sys.stderr)
        return 2
    schema = bootstrap_tenant(connect(settings), settings, source_id)
    print(f"bootstrapped {source_id} -> {schema}")
    return 0


def _serve(settings: Settings) -> None:
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    sys.exit(main())
