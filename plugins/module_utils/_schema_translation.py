# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Translate what a SQLite file declares into PostgreSQL statements for a tenant schema.

Whatever has no exact counterpart here is refused by name, never dropped: an application that brings its own
tables (C(bootstrap: api) or C(command)) is the better way for those. What is there in another form is noted.

Pure: it looks at a catalogue, and at what was observed of the values; it touches no store.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import _postgres_store
from ._psycopg2 import sql
from ._translated_columns import ICU_COLLATION, Target
from ._translated_names import Findings, Names
from ._translated_references import Parents, translate_references
from ._translated_table import Statement, TranslatedTable, translate_table
from ._translated_types import BIGINT, BOOLEAN, DOUBLE, Observed, postgres_type

if t.TYPE_CHECKING:
    from ._sqlite_catalog import Catalog

__all__ = ["Statement", "Target", "Translation", "expected_tables", "postgres_type", "translate"]

_TYPE_NAMES = {BIGINT: "int8", DOUBLE: "float8", BOOLEAN: "bool"}


@dataclasses.dataclass(frozen=True)
class Translation:
    """The statements in the order to run them, everything that cannot be translated, and what is another way."""

    statements: tuple[Statement, ...]
    refusals: tuple[str, ...]
    notes: tuple[str, ...]
    tables: tuple[TranslatedTable, ...]


def translate(
    catalog: Catalog,
    names: t.Collection[str],
    target: Target,
    *,
    observed: Observed,
    existing: t.Mapping[str, _postgres_store.Table] | None = None,
    taken: t.Collection[str] = (),
    excluded: t.Collection[str] = (),
) -> Translation:
    """Translate the named tables, with all that belongs to them.

    Args:
        catalog: What the SQLite file declares.
        names: The tables to create; the others are not looked at.
        target: The tenant schema, and what is to become of what has more than one counterpart.
        observed: What the columns hold whose declarations promise no type, as from L(_translated_types.read_observed).
        existing: The tables that the tenant schema has already; foreign keys may refer to them as well.
        taken: Every name of a relation in the tenant schema.
        excluded: Views and triggers to leave behind; any other of the named tables stands in the way.
    """
    existing = existing or {}
    sources = [table for table in catalog.tables if table.name in names]
    findings = Findings()
    _views_and_triggers(catalog, {table.name for table in sources}, excluded, findings)
    room = Names({*taken, *existing, *(table.name for table in sources)})
    tables = {table.name: translate_table(table, target, observed, room, findings) for table in sources}
    if any(column.type == BIGINT for table in tables.values() for column in table.columns):
        findings.notes.append("integer columns become bigint, as wide as SQLite's integers, whatever width is declared")
    left_behind = {table.name for table in catalog.tables} - set(tables) - set(existing)
    parents = Parents(tables, existing, left_behind)
    statements = _collation(tables.values(), target)
    statements += [table.create for table in tables.values()]
    for table in tables.values():
        statements += table.indexes  # before the foreign keys, which may refer to a unique one
    for table in tables.values():
        statements += translate_references(table, parents, target, findings)
    return Translation(
        tuple(statements), tuple(findings.refusals), tuple(dict.fromkeys(findings.notes)), tuple(tables.values())
    )


def _views_and_triggers(
    catalog: Catalog, names: t.Collection[str], excluded: t.Collection[str], findings: Findings
) -> None:
    if not names:
        return
    findings.refusals += [
        f"view {name}: a view cannot be translated exactly" for name in catalog.views if name not in excluded
    ]
    findings.refusals += [
        f"trigger {name} of {table}: a trigger cannot be translated exactly"
        for name, table in zip(catalog.triggers, catalog.trigger_tables)
        if table in names and name not in excluded
    ]


def _collation(tables: t.Iterable[TranslatedTable], target: Target) -> list[Statement]:
    used = any(
        "NOCASE" in {column.collation for column in table.columns}
        or any("NOCASE" in index.collations for index in table.source.indexes)
        for table in tables
    )
    if target.nocase != "icu" or not used:
        return []
    create = sql.SQL(
        "CREATE COLLATION IF NOT EXISTS {} (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    )
    name = sql.Identifier(target.schema_name, ICU_COLLATION)
    return [Statement(f"collation {ICU_COLLATION}", create.format(name))]


def expected_tables(translation: Translation, schema_name: str = "") -> dict[str, _postgres_store.Table]:
    """Return the tables as L(_postgres_store.read_tables) would find them once they are created."""
    return {table.source.name: _expected(table, schema_name) for table in translation.tables}


def _expected(table: TranslatedTable, schema_name: str) -> _postgres_store.Table:
    key = table.source.key
    columns = tuple(
        _postgres_store.Column(
            name=column.name,
            type_name=_TYPE_NAMES.get(column.type, column.type),
            declared=column.type,
            not_null=column.not_null or column.name in key,
            has_default=column.default is not None,
            identity="d" if column.numbered else "",
            generated=column.generated is not None,
            sequence=None,
        )
        for column in table.columns
    )
    foreign = tuple(
        _postgres_store.ForeignKey("", found.columns, (schema_name, found.parent), found.parent_columns)
        for found in table.source.foreign_keys
    )
    uniques = (key, *table.uniques) if key else table.uniques
    return _postgres_store.Table(table.source.name, columns, key, uniques, foreign)
