# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The digest of a table's rows as a multiset: equal exactly when both stores hold the same rows, in any order.

A bucket is the number of its rows and the sums of their SHA-256 digests' first four 32-bit words. Two stores are
compared as one bucket; only where that differs, the rows are spread over many, by the digest of their key, so that
the two sides of a changed row always meet in one bucket, and a difference costs a look into a few buckets. PostgreSQL
hashes on its own side and sends only the buckets.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import struct
import typing as t

from . import _key_ranges
from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._row_codec import postgres_row, row_digest, sqlite_row
from ._sqlite_store import quote, reading

if t.TYPE_CHECKING:
    import sqlite3

    from ._planned_table import TablePlan
    from ._psycopg2 import Connection
    from ._range import Range
    from ._workers import Workers

Bucket = tuple[int, ...]  # rows, and the sum of each word
Buckets = dict[int, Bucket]
Hashed = t.Callable[[int], None]
_SUMMED_OCTETS = 16
_WORDS = struct.Struct(">4i")
# PostgreSQL has no cast from bytea to a number before version 18; get_byte costs half of what a detour by bit(64) does.
_SUMS = ", ".join(
    f"sum((get_byte(d,{place})<<24)|(get_byte(d,{place + 1})<<16)|(get_byte(d,{place + 2})<<8)|get_byte(d,{place + 3}))"
    for place in range(0, _SUMMED_OCTETS, 4)
)
_MOST_BUCKETS = 65536
_ROWS_PER_BUCKET = 500
_ROWS_AT_ONCE = 500


def bucket_mask(rows: int) -> int:
    """Return the mask that spreads so many rows over buckets of about 500: one less than a power of two."""
    wanted = min(max(rows // _ROWS_PER_BUCKET, 1), _MOST_BUCKETS)
    return (1 << (wanted - 1).bit_length()) - 1


def bucket_of(digest: bytes, mask: int) -> int:
    """Return the number of the bucket that a row's digest falls into."""
    return (digest[0] << 8 | digest[1]) & mask


def both_buckets(
    source: sqlite3.Connection,
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    source_id: str,
    mask: int,
    hashed: Hashed = lambda _rows: None,
    workers: Workers | None = None,
) -> tuple[Buckets, Buckets]:
    """Return the buckets of both stores, SQLite's first, for the time of the slower one.

    PostgreSQL hashes in its own process; here a thread waits for it while SQLite's rows are hashed, by the workers
    (L(_snapshot_reader.SnapshotReader)) where there are any and one bucket is asked for. C(hashed) is told how many
    more rows of SQLite have been hashed.

    Raises:
        SqliteError: The file cannot be read.
        PostgresError: The table cannot be read.
    """
    with concurrent.futures.ThreadPoolExecutor(1) as waiting:
        theirs = waiting.submit(postgres_buckets, connection, plan, schema_name, mask)
        try:
            if workers is None or mask:
                ours = sqlite_buckets(source, plan, source_id, mask, hashed)
            else:
                rows = _key_ranges.count(source, plan, source_id)
                ranges = _key_ranges.cut(source, plan, source_id, rows, len(workers))
                sums = workers.spread("digest", [(plan, some) for some in ranges], hashed)
                ours = _as_buckets(tuple(map(sum, zip(*sums))))
        except BaseException:
            connection.cancel()
            raise
        return ours, theirs.result()


def sqlite_buckets(
    connection: sqlite3.Connection,
    plan: TablePlan,
    source_id: str,
    mask: int,
    hashed: Hashed = lambda _rows: None,
) -> Buckets:
    """Return the buckets of one profile's rows in SQLite; the connection comes from L(_value_kinds.prepare).

    Raises:
        SqliteError: The file cannot be read.
    """
    whole = _key_ranges.whole(connection, plan, source_id)
    if not mask:
        return _as_buckets(sqlite_bucket(connection, plan, whole, hashed))
    buckets: dict[int, list[int]] = {}
    for row, key in _rows(connection, plan, whole, with_key=True):
        found = buckets.setdefault(bucket_of(row_digest(key), mask), [0] * 5)
        for place, number in enumerate((1, *_WORDS.unpack_from(row_digest(row)))):
            found[place] += number
    return {number: tuple(found) for number, found in buckets.items()}


def sqlite_bucket(connection: sqlite3.Connection, plan: TablePlan, rows: Range, hashed: Hashed) -> Bucket:
    """Return the one bucket of some rows in SQLite, telling now and then how many more are done.

    Raises:
        SqliteError: The file cannot be read.
    """
    found = [0] * 5
    digest = hashlib.sha256  # not row_digest(): a call of our own for every row would be a tenth of the time
    with reading(connection, f"reading table {plan.source}"):
        cursor = connection.execute(_statement(plan, rows), rows.values)
        # Many at once: adding up row by row would cost more than making and hashing the row.
        while some := cursor.fetchmany(_ROWS_AT_ONCE):
            digests = b"".join([digest(row).digest()[:_SUMMED_OCTETS] for (row,) in some])
            words = struct.unpack(f">{4 * len(some)}i", digests)
            found[0] += len(some)
            hashed(len(some))
            for place in range(4):
                found[place + 1] += sum(words[place::4])
    return tuple(found)


def _as_buckets(bucket: Bucket) -> Buckets:
    return {0: bucket} if bucket[0] else {}


def sqlite_rows(
    connection: sqlite3.Connection, plan: TablePlan, source_id: str, with_key: bool = False
) -> t.Iterator[tuple[bytes, ...]]:
    """Iterate over the canonical rows of one profile's rows in SQLite, each followed by its key's text if asked for."""
    yield from _rows(connection, plan, _key_ranges.whole(connection, plan, source_id), with_key)


def _rows(
    connection: sqlite3.Connection, plan: TablePlan, rows: Range, with_key: bool = False
) -> t.Iterator[tuple[bytes, ...]]:
    with reading(connection, f"reading table {plan.source}"):
        yield from connection.execute(_statement(plan, rows, with_key), rows.values)


def _statement(plan: TablePlan, rows: Range, with_key: bool = False) -> str:
    row = sqlite_row(plan.source_codec)
    if with_key:
        row += f", {sqlite_row(plan.source_key_codec)}"
    return f"SELECT {row} FROM {quote(plan.source)} WHERE {rows.where}"


def postgres_buckets(connection: Connection, plan: TablePlan, schema_name: str, mask: int) -> Buckets:
    """Return the buckets of all rows of a tenant's table in PostgreSQL, foreign rows included.

    Raises:
        PostgresError: The table cannot be read.
    """
    # OFFSET 0 keeps the planner from evaluating a digest once for every word of it.
    statement = sql.SQL(
        "SELECT {bucket} AS bucket, count(*), {sums}"
        " FROM (SELECT sha256(textsend({row})) AS d, {key} AS k FROM {table} OFFSET 0) AS digests GROUP BY 1"
    ).format(
        bucket=postgres_bucket(mask) if mask else sql.SQL("0"),
        sums=sql.SQL(_SUMS),
        row=postgres_row(plan.target_codec),
        key=postgres_key_digest(plan) if mask else sql.SQL("NULL"),
        table=sql.Identifier(schema_name, plan.target),
    )
    with postgres_errors(f"Digesting table {plan.target}"), connection.cursor() as cursor:
        cursor.execute(statement)
        return {number: tuple(map(int, bucket)) for number, *bucket in cursor.fetchall()}


def postgres_key_digest(plan: TablePlan) -> sql.Composable:
    """Return the PostgreSQL expression of the digest that decides on a row's bucket."""
    return sql.SQL("sha256(textsend({}))").format(postgres_row(plan.target_key_codec))


def postgres_bucket(mask: int) -> sql.Composable:
    """Return the PostgreSQL expression of the bucket's number for a digest C(k)."""
    return sql.SQL("(((get_byte(k, 0) << 8) | get_byte(k, 1)) & {})").format(sql.Literal(mask))


def differing(one: Buckets, other: Buckets) -> list[int]:
    """Return the numbers of the buckets that are not the same on both sides, in order."""
    return sorted(number for number in {*one, *other} if one.get(number) != other.get(number))


def count(buckets: Buckets) -> int:
    """Return the number of rows."""
    return sum(bucket[0] for bucket in buckets.values())


def without(buckets: Buckets, rows: t.Mapping[bytes, bytes], mask: int) -> Buckets:
    """Return the buckets as if they did not have some of their rows, given as digests by canonical key."""
    found = {number: list(bucket) for number, bucket in buckets.items()}
    for key, digest in rows.items():
        bucket = found.setdefault(bucket_of(row_digest(key), mask), [0] * 5)
        for place, number in enumerate((1, *_WORDS.unpack_from(digest))):
            bucket[place] -= number
    return {number: tuple(bucket) for number, bucket in found.items() if any(bucket)}


def fingerprint(buckets: Buckets) -> str:
    """Return one hexadecimal SHA-256 over the rows, independent of how they were spread over buckets."""
    parts = [sum(column) for column in zip(*buckets.values())]
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
