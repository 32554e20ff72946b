# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a captured table of a SQLite file was declared as, and in which words it differs from what it is now."""

from __future__ import annotations

import typing as t

from ._sqlite_tokens import tokens_of

if t.TYPE_CHECKING:
    from ._sqlite_catalog import Table

Fingerprint = dict[str, t.Any]


def fingerprint(table: Table) -> Fingerprint:
    """Return what matters of a table's declaration, as it goes through JSON unchanged.

    Indexes that are not unique and constraints that only refuse rows change nothing about which rows there are.
    """
    return {
        "key": list(table.key),
        "without_rowid": table.without_rowid,
        "columns": {
            column.name: [column.declared_type, column.not_null, column.default, column.generated]
            for column in table.columns
        },
        "uniques": {index.name: _declared(index.sql, index.columns) for index in table.indexes if index.unique},
    }


def differences(table: str, before: Fingerprint, now: Fingerprint) -> list[str]:
    """Return what was changed about a table, each as an operator would say it."""
    found = [f"column {name} added" for name in now["columns"] if name not in before["columns"]]
    found += [f"column {name} dropped" for name in before["columns"] if name not in now["columns"]]
    found += [
        f"column {name} declared anew"
        for name, declared in now["columns"].items()
        if before["columns"].get(name, declared) != declared
    ]
    if before["key"] != now["key"]:
        found.append(f"its key is ({', '.join(now['key'])}) and was ({', '.join(before['key'])})")
    if before["without_rowid"] != now["without_rowid"]:
        found.append("WITHOUT ROWID " + ("added" if now["without_rowid"] else "taken away"))
    found += [f"unique index {name} added" for name in now["uniques"] if name not in before["uniques"]]
    found += [f"unique index {name} dropped" for name in before["uniques"] if name not in now["uniques"]]
    found += [
        f"unique index {name} declared anew"
        for name, declared in now["uniques"].items()
        if before["uniques"].get(name, declared) != declared
    ]
    return [f"table {table} was changed: {difference}" for difference in found]


def _declared(sql: str | None, columns: t.Sequence[str | None]) -> list[str | None]:
    """Return the words of an index, however they are spaced; its columns when it belongs to a constraint."""
    return [f"{token.kind} {token.text}" for token in tokens_of(sql)] if sql else list(columns)
