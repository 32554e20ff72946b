# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Write the rows that changed in PostgreSQL since a time into files, for the record: CSV or JSON lines, one per table.

A row that is gone is there as deleted, by its key. The folder is made for its owner only (0700), as are the files.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import tempfile
import typing as t

from . import _change_log
from ._errors import BadInput
from ._key_relation import PLACE, renamed
from ._postgres_store import postgres_errors
from ._psycopg2 import sql
from ._return_path import at_one_instant

if t.TYPE_CHECKING:
    from ._change_log import Key
    from ._online_names import OnlineNames
    from ._planned_table import TablePlan
    from ._psycopg2 import Connection
    from ._table_plan import Plan

CSV, JSONL = "csv", "jsonl"
FORMATS = (CSV, JSONL)
_SAFE = re.compile(r"[^A-Za-z0-9._-]")


def export(
    connection: Connection, plan: Plan, names: OnlineNames, path: str, form: str, since: str | None
) -> list[dict[str, t.Any]]:
    """Write one file for every table with changes, in place of an older one; return what was written.

    In CSV NULL is an empty field and an empty text is C(""). In JSON lines every row is an object with C(change)
    (changed or deleted), C(changed_at), C(key) and C(row), which is null for a deleted one.

    Args:
        connection: PostgreSQL, outside of any transaction.
        plan: The tables.
        names: What online mode calls its tables.
        path: The folder.
        form: One of L(FORMATS).
        since: From when on, as PostgreSQL reads a time; None for everything that the log still holds.

    Raises:
        BadInput: The folder cannot be used.
        PostgresError: PostgreSQL cannot be read, or the time is none.
    """
    folder = _private_folder(path)
    written = []
    with at_one_instant(connection):
        changed = _change_log.postgres_changed(connection, plan, names, since)
        for table in plan.tables:
            keys = changed.tables.get(table.source, [])
            if keys:
                file = folder / f"{_SAFE.sub('_', table.source)}.{form}"
                times = changed.changed_at[table.source]
                rows, deleted = _write(connection, table, names.schema_name, keys, times, file, form)
                written.append({"table": table.source, "path": str(file), "rows": rows, "deleted": deleted})
    return written


def _private_folder(path: str) -> pathlib.Path:
    folder = pathlib.Path(path)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise BadInput(f"Folder {folder} cannot be used for the export", error.strerror or str(error)) from error
    return folder


def _write(
    connection: Connection,
    plan: TablePlan,
    schema_name: str,
    keys: t.Sequence[Key],
    times: t.Mapping[Key, str],
    file: pathlib.Path,
    form: str,
) -> tuple[int, int]:
    texts = [tuple(map(str, key)) for key in keys]
    source = sql.SQL(
        "{} AS g JOIN unnest({}::text[]) WITH ORDINALITY AS w (sxops_at, sxops_w) ON w.sxops_w = g.{}"
        " LEFT JOIN {} AS t ON {}"
    ).format(
        renamed(plan, texts),
        sql.Literal([times[key] for key in keys]),
        sql.Identifier(PLACE),
        sql.Identifier(schema_name, plan.target),
        sql.SQL(" AND ").join(
            [sql.SQL("t.{0} = g.{0}").format(sql.Identifier(plan.columns[place].target)) for place in plan.key_places]
        ),
    )
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".export")  # 0600
    try:
        with os.fdopen(handle, "wb") as stream, postgres_errors(f"Exporting changed rows of {plan.target}"):
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL("SELECT count(t.ctid), count(*) FROM {}").format(source))
                there, every = cursor.fetchone() or (0, 0)
            if form == CSV:
                _write_csv(connection, plan, source, stream)
            else:
                _write_lines(connection, plan, source, stream)
            stream.flush()
            os.fsync(stream.fileno())
        pathlib.Path(name).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            pathlib.Path(name).unlink()
        raise
    return there, every - there


_CHANGE = "CASE WHEN t.ctid IS NULL THEN 'deleted' ELSE 'changed' END"


def _write_csv(connection: Connection, plan: TablePlan, source: sql.Composable, stream: t.BinaryIO) -> None:
    columns = []
    for place, column in enumerate(plan.columns):
        name = sql.Identifier(column.target)
        value = sql.SQL("coalesce(t.{0}, g.{0})") if place in plan.key_places else sql.SQL("t.{0}")
        columns.append(sql.SQL("{} AS {}").format(value.format(name), name))
    query = sql.SQL("SELECT {} AS {}, w.sxops_at AS {}, {} FROM {} ORDER BY g.{}").format(
        sql.SQL(_CHANGE),
        sql.Identifier("_change"),
        sql.Identifier("_changed_at"),
        sql.SQL(", ").join(columns),
        source,
        sql.Identifier(PLACE),
    )
    with connection.cursor() as cursor:
        cursor.copy_expert(sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(query), stream)


def _write_lines(connection: Connection, plan: TablePlan, source: sql.Composable, stream: t.BinaryIO) -> None:
    key = [
        sql.SQL("{}, g.{}").format(sql.Literal(plan.columns[place].target), sql.Identifier(plan.columns[place].target))
        for place in plan.key_places
    ]
    query = sql.SQL(
        "SELECT json_build_object('change', {}, 'changed_at', w.sxops_at, 'key', json_build_object({}),"
        " 'row', CASE WHEN t.ctid IS NOT NULL THEN to_json(t) END)::text FROM {} ORDER BY g.{}"
    ).format(sql.SQL(_CHANGE), sql.SQL(", ").join(key), source, sql.Identifier(PLACE))
    with connection.cursor(name="sxops_export") as cursor:
        cursor.itersize = 100
        cursor.execute(query)
        for (line,) in cursor:
            stream.write(line.replace("\n", " ").encode() + b"\n")
