# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The digest of a table's rows as a multiset: equal exactly when both stores hold the same rows, in any order.

Every row's SHA-256 falls into a bucket by its first bits; a bucket is the number of its rows and the sums of the
two leading 64-bit halves. Two stores are compared bucket by bucket, so a difference costs a look into a few
buckets and not a second comparison of everything. PostgreSQL hashes on its own side and sends only the buckets.
"""

from __future__ import annotations

import hashlib
import struct
import typing as t

from ._census import tenant_filter
from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._row_codec import postgres_row, row_digest, sqlite_row
from ._sqlite_store import quote, reading

if t.TYPE_CHECKING:
    import sqlite3

    from ._psycopg2 import Connection
    from ._table_plan import TablePlan

Bucket = tuple[int, int, int]  # rows, sum of the first halves, sum of the second halves
Buckets = dict[int, Bucket]
_HALVES = struct.Struct(">qq")
_MOST_BUCKETS = 65536
_ROWS_PER_BUCKET = 500


def bucket_mask(rows: int) -> int:
    """Return the mask that spreads so many rows over buckets of about 500: one less than a power of two."""
    wanted = min(max(rows // _ROWS_PER_BUCKET, 1), _MOST_BUCKETS)
    return (1 << (wanted - 1).bit_length()) - 1


def bucket_of(digest: bytes, mask: int) -> int:
    """Return the number of the bucket that a row's digest falls into."""
    return (digest[0] << 8 | digest[1]) & mask


def sqlite_buckets(connection: sqlite3.Connection, plan: TablePlan, source_id: str, mask: int) -> Buckets:
    """Return the buckets of one profile's rows in SQLite; the connection comes from L(_row_codec.prepare).

    Raises:
        SqliteError: The file cannot be read.
    """
    buckets: dict[int, list[int]] = {}
    unpack = _HALVES.unpack_from
    for (row,) in sqlite_rows(connection, plan, source_id):
        digest = row_digest(row)
        first, second = unpack(digest)
        found = buckets.setdefault(bucket_of(digest, mask), [0, 0, 0])
        found[0] += 1
        found[1] += first
        found[2] += second
    return {number: (found[0], found[1], found[2]) for number, found in buckets.items()}


def sqlite_rows(connection: sqlite3.Connection, plan: TablePlan, source_id: str) -> t.Iterator[tuple[bytes]]:
    """Iterate over the canonical rows of one profile's rows in SQLite."""
    where, values = tenant_filter(plan, source_id)
    row = sqlite_row(plan.source_codec)
    with reading(connection, f"reading table {plan.source}"):
        yield from connection.execute(f"SELECT {row} FROM {quote(plan.source)} WHERE {where}", values)


def postgres_buckets(connection: Connection, plan: TablePlan, schema_name: str, mask: int) -> Buckets:
    """Return the buckets of all rows of a tenant's table in PostgreSQL, foreign rows included.

    Raises:
        PostgresError: The table cannot be read.
    """
    statement = sql.SQL(
        "SELECT ((get_byte(d, 0) << 8) | get_byte(d, 1)) & {mask} AS bucket, count(*),"
        " sum(('x' || encode(substr(d, 1, 8), 'hex'))::bit(64)::bigint),"
        " sum(('x' || encode(substr(d, 9, 8), 'hex'))::bit(64)::bigint)"
        " FROM (SELECT sha256(convert_to({row}, 'UTF8')) AS d FROM {table}) AS digests GROUP BY 1"
    ).format(
        mask=sql.Literal(mask),
        row=postgres_row(plan.target_codec),
        table=sql.Identifier(schema_name, plan.target),
    )
    with postgres_errors(f"Digesting table {plan.target}"), connection.cursor() as cursor:
        cursor.execute(statement)
        return {number: (rows, int(first), int(second)) for number, rows, first, second in cursor.fetchall()}


def differing(one: Buckets, other: Buckets) -> list[int]:
    """Return the numbers of the buckets that are not the same on both sides, in order."""
    return sorted(number for number in {*one, *other} if one.get(number) != other.get(number))


def count(buckets: Buckets) -> int:
    """Return the number of rows."""
    return sum(bucket[0] for bucket in buckets.values())


def fingerprint(buckets: Buckets) -> str:
    """Return one hexadecimal SHA-256 over the rows, independent of how they were spread over buckets."""
    rows, first, second = (sum(bucket[part] for bucket in buckets.values()) for part in range(3))
    return hashlib.sha256(f"{rows} {first} {second}".encode()).hexdigest()
