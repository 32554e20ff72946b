# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which of the application's migrations PostgreSQL has, by the table in which the application's own tool keeps them.

Most tools keep a row for every migration, some with a checksum. Alembic keeps the newest one only: whoever has it has
those before it, so with a table of its name the expected ids are taken in order.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import MigrationsOpen
from ._postgres_store import identifier, postgres_errors
from ._psycopg2 import sql
from ._verdict import FAILED, PASSED, Check, compare, describe, not_verified, open_checks, overall

if t.TYPE_CHECKING:
    from ._psycopg2 import Connection

_HEAD_ONLY = "alembic_version"


class Applied(t.NamedTuple):
    """A migration that PostgreSQL has, with its checksum where there is one."""

    id: str
    checksum: str | None


@dataclasses.dataclass(frozen=True)
class History:
    """What was found.

    Attributes:
        applied: The migrations that PostgreSQL has, in the order of their ids.
        missing: Those that it should have.
        unexpected: Those that nobody asked for; they fail nothing.
        mismatched: Those whose checksum is another one.
        checks: All of it as checks.
    """

    applied: tuple[Applied, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def verdict(self) -> str:
        return overall(self.checks)

    def as_dict(self) -> dict[str, t.Any]:
        """Return it as a module's result."""
        return {
            "verdict": self.verdict,
            "applied": [one._asdict() for one in self.applied],
            "missing": list(self.missing),
            "unexpected": list(self.unexpected),
            "mismatched": list(self.mismatched),
            "checks": [check.as_dict() for check in self.checks],
        }

    def refuse(self, source_id: str) -> None:
        """Raise L(MigrationsOpen) with every open check, unless all passed."""
        if self.verdict == PASSED:
            return
        raise MigrationsOpen(
            f"The migrations of source_id {source_id!r} are not all there",
            describe(open_checks(self.checks)),
            "Run the application's migrations on PostgreSQL, or correct migrations of the profile.",
            **self.as_dict(),
        )


def check_history(connection: Connection, schema_name: str, wanted: t.Mapping[str, t.Any]) -> list[Check]:
    """Return the checks of L(read_history)."""
    return list(read_history(connection, schema_name, wanted).checks)


def read_history(connection: Connection, schema_name: str, wanted: t.Mapping[str, t.Any]) -> History:
    """Compare the migrations that PostgreSQL has with those that it should have.

    Args:
        connection: PostgreSQL.
        schema_name: The tenant schema, where the table is unless its name says another one.
        wanted: As the option C(migrations) of the module migration_history_info.

    Raises:
        PostgresError: The table cannot be read.
    """
    table = wanted["table"] if "." in wanted["table"] else f"{schema_name}.{wanted['table']}"
    columns = [wanted["column"], *([wanted["checksum_column"]] if wanted.get("checksum_column") else [])]
    there = _columns(connection, table)
    name = f"migration history {table}"
    if there is None:
        said = "the table does not exist; was the application's migration run?"
        return _without(wanted, Check(name, FAILED, "there", "missing", said))
    absent = [column for column in columns if column not in there]
    if absent:
        said = f"the table has no column {', '.join(absent)}, it has {', '.join(there)}"
        return _without(wanted, Check(name, FAILED, columns, list(there), said))
    applied = _read(connection, table, columns)
    return judge(name, applied, wanted, head_only=table.rpartition(".")[2] == _HEAD_ONLY)


def judge(
    name: str, applied: t.Sequence[Applied], wanted: t.Mapping[str, t.Any], *, head_only: bool = False
) -> History:
    """Compare migrations with those that should be there; pure.

    Args:
        name: What the check is called.
        applied: What is there.
        wanted: As in L(read_history).
        head_only: Whether only the newest of each branch is kept.
    """
    sums = {str(key): str(value) for key, value in (wanted.get("expected_checksums") or {}).items()}
    expected = list(dict.fromkeys([*map(str, wanted.get("expected") or []), *sums]))
    ids = [one.id for one in applied]
    missing = _after_head(expected, ids) if head_only else [one for one in expected if one not in ids]
    found = {one.id: one.checksum for one in applied}
    mismatched = [one for one in sums if one in found and not _same(found[one], sums[one])]
    unexpected = [one for one in ids if one not in expected]
    checks = []
    if expected:
        said = f"missing: {', '.join(missing)}" if missing else ""
        if unexpected:
            said += f"{'; ' if said else ''}not expected: {', '.join(unexpected)}"
        verdict = FAILED if missing else PASSED
        checks.append(Check(name, verdict, _expected_of(expected, head_only), ids, said))
    elif ids:
        checks.append(
            not_verified(name, f"it has {len(ids)} migration(s), but the profile does not say which to expect")
        )
    else:
        checks.append(Check(name, FAILED, "a migration", [], "the table is empty"))
    if sums:
        said = ", ".join(f"{one} is {found[one]}, not {sums[one]}" for one in mismatched)
        checks.append(compare(f"checksums in {name}", [], mismatched, said))
    return History(tuple(applied), tuple(missing), tuple(unexpected), tuple(mismatched), tuple(checks))


def _expected_of(expected: list[str], head_only: bool) -> list[str]:
    return expected[-1:] if head_only else expected


def _after_head(expected: list[str], ids: t.Collection[str]) -> list[str]:
    places = [place for place, one in enumerate(expected) if one in ids]
    return expected[max(places, default=-1) + 1 :]


def _same(one: str | None, other: str) -> bool:
    # Hexadecimal digits are written in either case.
    return one is not None and one.strip().lower() == other.strip().lower()


def _without(wanted: t.Mapping[str, t.Any], check: Check) -> History:
    expected = [*map(str, wanted.get("expected") or []), *map(str, wanted.get("expected_checksums") or {})]
    return History(missing=tuple(dict.fromkeys(expected)), checks=(check,))


def _columns(connection: Connection, table: str) -> list[str] | None:
    schema, _dot, relation = table.partition(".")
    with postgres_errors(f"Looking for {table}"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.attname FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            " WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY a.attnum",
            (schema, relation),
        )
        return [str(name) for (name,) in cursor.fetchall()] or None


def _read(connection: Connection, table: str, columns: t.Sequence[str]) -> list[Applied]:
    statement = sql.SQL("SELECT {} FROM {} WHERE {} IS NOT NULL").format(
        sql.SQL(", ").join([sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns]),
        identifier(table),
        sql.Identifier(columns[0]),
    )
    with postgres_errors(f"Reading {table}"), connection.cursor() as cursor:
        cursor.execute(statement)
        return sorted(Applied(row[0], row[1] if len(columns) > 1 else None) for row in cursor.fetchall())
