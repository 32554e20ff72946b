# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""PostgreSQL's client programs: find the right version, and call them without a secret on their command line."""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import re
import shutil
import typing as t

from ._errors import BackupError, BadInput, MissingDependency
from ._postgres_store import conninfo
from ._psycopg2 import psycopg2
from ._redact import redact_text, secrets_of

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

# C(module.run_command): arguments, environ_update=... to (rc, stdout, stderr)
Runner = t.Callable[..., tuple[int, str, str]]

# Where packages put the programs of one major version beside the default one (Debian; PGDG on Red Hat).
_VERSIONED_FOLDERS = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin")
_LOCALE = {"LC_ALL": "C", "LANGUAGE": "C"}
# Parameters of libpq that are secrets and have no variable to pass them by.
_UNPASSABLE = ("sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")


@dataclasses.dataclass(frozen=True)
class Program:
    """A client program: its path, what it says its version is, and the major version in it."""

    name: str
    path: str
    version: str
    major: int


def find_program(name: str, params: t.Mapping[str, t.Any], run: Runner, minimum: int, reason: str) -> Program:
    """Return a client program that is new enough.

    An option that names the program, or C(bin_dir), decides alone. Otherwise the one on PATH is taken when it is new
    enough, and else the one that a package of the server's version has put beside it.

    Args:
        name: C(pg_dump) or C(pg_restore).
        params: The module's options; C(<name>) and C(bin_dir) are looked at.
        run: Runs a program.
        minimum: The oldest major version that will do.
        reason: Why, for the message, such as C(the server is PostgreSQL 18.0).

    Raises:
        MissingDependency: The program is not there.
        BackupError: It is too old.
    """
    candidates = _candidates(name, params, minimum)
    found = [
        _asked(name, path, run) for path in candidates if os.access(path, os.X_OK) and pathlib.Path(path).is_file()
    ]
    if not found:
        where = candidates[0] if params.get(name) or params.get("bin_dir") else "PATH"
        raise MissingDependency(
            f"{name} is missing on this host",
            f"it is not at {where}" if where != "PATH" else "it is not on PATH",
            f"Install PostgreSQL's client programs, version {minimum} or newer (Debian: postgresql-client-{minimum}), "
            "or set bin_dir to the folder that holds them.",
        )
    for program in found:
        if program.major >= minimum:
            return program
    raise BackupError(
        f"{name} {found[0].version} at {found[0].path} is too old",
        f"{reason}, and {name} cannot work with what is newer than itself",
        f"Install the client programs of PostgreSQL {minimum} (Debian: postgresql-client-{minimum}), or set bin_dir to "
        "the folder that holds them.",
        program=found[0].path,
        program_version=found[0].version,
        needed_major=minimum,
    )


def _candidates(name: str, params: t.Mapping[str, t.Any], major: int) -> list[str]:
    if params.get(name):
        return [str(params[name])]
    if params.get("bin_dir"):
        return [str(pathlib.Path(params["bin_dir"]) / name)]
    on_path = shutil.which(name)
    packaged = [str(pathlib.Path(folder.format(major=major)) / name) for folder in _VERSIONED_FOLDERS]
    return ([on_path] if on_path else []) + packaged


def _asked(name: str, path: str, run: Runner) -> Program:
    rc, out, err = run([path, "--version"], environ_update=_LOCALE)
    match = re.search(r"\(PostgreSQL\)\s+(\d\S*)", out)
    if rc or not match:
        raise MissingDependency(
            f"{path} is not a {name} that works",
            (err or out).strip() or f"it ended with code {rc}",
            "Install PostgreSQL's client programs, or set bin_dir to the folder that holds them.",
        )
    return Program(name, path, match.group(1), major_of(match.group(1)))


def major_of(version: str) -> int:
    """Return the major version in a version as PostgreSQL writes it: C(18.4), C(18beta1)."""
    return int(re.split(r"\D", version, maxsplit=1)[0])


@dataclasses.dataclass(frozen=True)
class Address:
    """How a child process reaches the server: a conninfo without a secret, and the secret in its environment."""

    conninfo: str
    environment: t.Mapping[str, str] = dataclasses.field(repr=False)
    secrets: frozenset[str] = dataclasses.field(repr=False)


def child_address(params: t.Mapping[str, t.Any], connection: Connection) -> Address:
    """Return the address of the very server that a connection is made to.

    Args:
        params: The connection options it was made with.
        connection: It names the one host of several (C(host=a,b)) that answered: an exported snapshot lives there only.

    Raises:
        BadInput: The options hold a secret that can be given to a program by its command line alone.
    """
    parts = dict(psycopg2.extensions.parse_dsn(conninfo(params)))
    for name in _UNPASSABLE:
        if parts.get(name):
            raise BadInput(
                f"Connection parameter {name} cannot be used for a backup",
                "pg_dump would take it on its command line only, where every user of the host can read it",
                "Give a key without a passphrase (mode 0600), or keep the parameter in a service file (service=...).",
            )
    password = parts.pop("password", None)
    info = connection.info
    if info.host:
        parts["host"] = info.host
        if "," in parts.get("hostaddr", ""):
            del parts["hostaddr"]
    parts["port"] = str(info.port)
    parts["dbname"] = info.dbname
    environment = dict(_LOCALE)
    if password:
        environment["PGPASSWORD"] = password
    return Address(psycopg2.extensions.make_dsn(**parts), environment, secrets_of(password))


def database_of(params: t.Mapping[str, t.Any]) -> str | None:
    """Return the database that connection options name; None when they leave it open, or name no server."""
    if not any(params.get(name) for name in ("dsn", "login_host", "login_db")):
        return None
    found = psycopg2.extensions.parse_dsn(conninfo(params)).get("dbname")
    return None if found is None else str(found)


def call(
    program: Program,
    arguments: t.Sequence[str],
    run: Runner,
    doing: str,
    environment: t.Mapping[str, str] | None = None,
    secrets: t.Iterable[str] = (),
) -> str:
    """Run a client program and return what it printed.

    Raises:
        OSError: The disk is full (C(ENOSPC)), told from the program's words.
        BackupError: It ended with another code than 0; the message has its own words, secrets masked.
    """
    rc, out, err = run([program.path, *arguments], environ_update={**_LOCALE, **(environment or {})})
    if rc:
        said = redact_text(" ".join((err or out).split()), secrets)
        if "No space left on device" in said:
            raise OSError(errno.ENOSPC, "No space left on device", program.path)
        raise BackupError(
            f"{doing} failed",
            f"{program.name} {program.version} ended with code {rc}: {said}",
            "Nothing was kept, older backups are untouched.",
            rc=rc,
            program=program.path,
        )
    return out
