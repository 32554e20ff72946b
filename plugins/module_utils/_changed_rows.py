# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What PostgreSQL holds of changed keys: their rows as canonical texts, small however large the values are."""

from __future__ import annotations

import struct
import typing as t

from ._errors import ReplayError
from ._key_relation import PLACE, as_relation, is_key, renamed, show
from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._row_codec import LongText, parse_row, postgres_row
from ._value_kinds import KINDS

if t.TYPE_CHECKING:
    from ._change_log import Key
    from ._planned_table import ColumnPlan, TablePlan
    from ._psycopg2 import Connection
    from ._row_codec import Field

_BITS: dict[str, t.Callable[[bytes], float]] = {
    "float8": lambda field: struct.unpack(">d", bytes.fromhex(field.decode()))[0],
    "float4": lambda field: struct.unpack(">f", bytes.fromhex(field.decode()))[0],
}
_BY_LETTERS = KINDS["citext"].equality
Identity = tuple[t.Any, ...]


class ChangedRow(t.NamedTuple):
    """A changed key of PostgreSQL.

    Attributes:
        key: As the log has it: the texts of its values.
        identity: What tells it from other keys, in both stores.
        row: Its canonical row, with the columns that both stores generate; None where it is gone.
    """

    key: tuple[str, ...]
    identity: Identity
    row: bytes | None


def read_changed(connection: Connection, plan: TablePlan, schema_name: str, keys: t.Sequence[Key]) -> list[ChangedRow]:
    """Return what PostgreSQL holds of these keys, each once.

    Raises:
        ReplayError: The table has no key, or a key of the log is none of it.
        PostgresError: The table cannot be read.
    """
    texts = [tuple(map(str, key)) for key in keys]
    if not plan.key or any(len(key) != len(plan.key) for key in texts):
        raise ReplayError(
            f"Rows of table {plan.source} cannot be replayed",
            f"they are told apart by ({', '.join(plan.key)}), and the log has other keys",
            table=plan.source,
        )
    if not texts:
        return []
    compared = plan.with_compared()
    place = sql.Identifier(PLACE)
    with postgres_errors(f"Reading changed rows of {plan.target}"), connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT {}, textsend({}) FROM {} AS g").format(
                place, postgres_row(plan.target_key_codec), renamed(plan, texts)
            )
        )
        identities = {number: identity_of(plan, bytes(row)) for number, row in cursor.fetchall()}
        cursor.execute(
            sql.SQL("SELECT g.{}, textsend({}) FROM {} AS g JOIN {} AS t ON {}").format(
                place,
                postgres_row(compared.target_codec),
                as_relation(plan, texts),
                sql.Identifier(schema_name, plan.target),
                is_key(plan),
            )
        )
        rows = {number: bytes(row) for number, row in cursor.fetchall()}
    found: dict[Identity, ChangedRow] = {}
    for number, key in enumerate(texts, 1):
        found[identities[number]] = ChangedRow(key, identities[number], rows.get(number))
    return list(found.values())


def identity_of(plan: TablePlan, canonical_key: bytes) -> Identity:
    """Return what tells a key from others: its canonical fields, letters of citext regardless of their case."""
    kinds = [plan.columns[place].kind for place in plan.key_places]
    return tuple(
        field.decode(errors="replace").lower() if isinstance(field, bytes) and kind.equality == _BY_LETTERS else field
        for kind, field in zip(kinds, parse_row(canonical_key))
    )


def is_short(column: ColumnPlan, field: Field) -> bool:
    """Return whether the canonical field of a column says all that its value is."""
    if field is None:
        return True
    if isinstance(field, LongText) or column.kind.name == "jsonb":
        return False
    return not (column.kind.name == "bytea" and b":" in field)


def text_of(column: ColumnPlan, field: bytes) -> str | bytes:
    """Return what L(_return_values.return_value) takes, of a short canonical field."""
    if column.kind.name == "bytea":
        return bytes.fromhex(field.decode())
    if column.kind.name in _BITS:
        return repr(_BITS[column.kind.name](field))
    return field.decode()


def read_long(
    connection: Connection, plan: TablePlan, schema_name: str, key: tuple[str, ...], column: ColumnPlan
) -> str | bytes | None:
    """Return a value that the canonical row does not hold.

    Raises:
        ReplayError: The row is not there any more.
        PostgresError: It cannot be read.
    """
    value = sql.SQL("t.{}" if column.kind.name == "bytea" else "t.{}::text").format(sql.Identifier(column.target))
    with postgres_errors(f"Reading a changed row of {plan.target}"), connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT {} FROM {} AS g JOIN {} AS t ON {}").format(
                value, as_relation(plan, [key]), sql.Identifier(schema_name, plan.target), is_key(plan)
            )
        )
        row = cursor.fetchone()
    if row is None:
        raise ReplayError(
            f"Row {show(plan, key)} of table {plan.source} went away in PostgreSQL while it was replayed",
            "",
            "Nothing of this step was acknowledged. Run the same command again.",
            table=plan.source,
            key=show(plan, key),
        )
    return bytes(row[0]) if isinstance(row[0], memoryview) else t.cast("str | None", row[0])
