# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Pair the tables of a SQLite file with those of the tenant schema: what travels, in which order, and what not.

Pure: it looks at two catalogues and touches no store.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._errors import SchemaRefused
from ._planned_table import ColumnPlan, Reference, SetAside, TablePlan
from ._policies import QUARANTINE
from ._sqlite_store import fold, quote
from ._sqlite_tokens import free_row_name
from ._value_kind import problems_of
from ._value_kinds import kind_of

if t.TYPE_CHECKING:
    from . import _postgres_store, _sqlite_store


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that will happen: tables in load order, what is left out and why, and what stands in the way.

    No order satisfies the foreign keys between the C(cyclic) tables (names of the target).
    """

    tables: tuple[TablePlan, ...]
    left_out: tuple[tuple[str, str], ...]
    refusals: tuple[str, ...]
    cyclic: tuple[str, ...] = ()

    def refuse(self) -> None:
        """Raise L(SchemaRefused) naming every table and column that stands in the way."""
        if self.refusals:
            raise SchemaRefused(
                "The tables do not pair",
                "; ".join(self.refusals),
                "Nothing was loaded. Correct the tenant schema, or name the tables under exclude_tables or "
                "shared_tables of the profile if they are not the profile's.",
                refusals=list(self.refusals),
            )
        if not self.tables:
            raise SchemaRefused("There is nothing to load", "no table of the SQLite file belongs to a profile")


def make_plan(
    catalog: _sqlite_store.Catalog,
    target: t.Mapping[str, _postgres_store.Table],
    *,
    tenant_column: str | None,
    shared_tables: t.Collection[str] = (),
    exclude_tables: t.Collection[str] = (),
    schema_name: str = "",
    policies: t.Mapping[str, str] | None = None,
) -> Plan:
    """Pair every table of the SQLite file with one of the tenant schema.

    Args:
        catalog: What the SQLite file declares.
        target: The tables of the tenant schema.
        tenant_column: The column that tells profiles apart; None when the whole file is one profile's.
        shared_tables: Tables of all profiles, which are not part of a tenant schema.
        exclude_tables: Tables to leave behind.
        schema_name: The tenant schema; a foreign key into another schema is none between the profile's tables.
        policies: What happens to values that cannot travel as they are, as from L(_policies.check_policies).
    """
    left_out: list[tuple[str, str]] = []
    refusals: list[str] = []
    paired: dict[str, tuple[_sqlite_store.Table, _postgres_store.Table]] = {}
    known = {*(table.name for table in catalog.tables), *catalog.views, *catalog.triggers}
    refusals += [
        f"table {name}: named in the profile, but not in the SQLite file"
        for name in sorted({*shared_tables, *exclude_tables} - known)
        if name in exclude_tables
    ]
    for table in catalog.tables:
        reason = _reason_to_leave_out(table, shared_tables, exclude_tables)
        if reason:
            left_out.append((table.name, reason))
        elif tenant_column and tenant_column not in table.column_names:
            refusals.append(f"table {table.name}: it has no column {tenant_column} to tell the profiles apart")
        else:
            match = _match(table.name, target)
            if match is None:
                refusals.append(f"table {table.name}: the tenant schema has no such table")
            else:
                paired[table.name] = (table, target[match])
    by_target = {found.name: table.name for table, found in paired.values()}
    plans = {}
    for name, (table, found) in paired.items():
        columns, faults = _pair_columns(table, found, policies)
        refusals += faults
        if tenant_column and not faults and tenant_column not in [column.source for column in columns]:
            refusals.append(f"table {name}: its column {tenant_column} does not travel, which tells the profiles apart")
        elif columns:
            inside = [key for key in found.foreign_keys if key.parent[0] == schema_name and key.parent[1] in by_target]
            plans[name] = dataclasses.replace(
                _table_plan(table, found, columns, tenant_column, inside, by_target, paired),
                set_aside=_set_aside(columns, policies),
                compare_only=_compare_only(table, found, policies),
            )
        compared = _compare_only(table, found, policies)
        matched = [entry.source for entry in (*columns, *compared)]
        left_out += [
            (f"{name}.{column.name}", "generated column without a counterpart: its content is derived")
            for column in table.columns
            if column.generated and column.name not in matched
        ]
    left_out += [
        (name, "only in the tenant schema; nothing is loaded into it") for name in sorted(set(target) - set(by_target))
    ]
    plans = {name: _with_parents(plan, plans) for name, plan in plans.items()}
    ordered, cycle = load_order(plans)
    cyclic = tuple(plans[name].target for name in cycle)
    return Plan(tuple(plans[name] for name in ordered), tuple(left_out), tuple(refusals), cyclic)


def _reason_to_leave_out(
    table: _sqlite_store.Table, shared_tables: t.Collection[str], exclude_tables: t.Collection[str]
) -> str | None:
    if table.kind == "virtual":
        return "virtual table: its content is derived, rebuild it in the application"
    if table.kind == "shadow":
        return "storage of a virtual table, never copied as data"
    if table.name in shared_tables:
        return "shared by all profiles, compared by named columns only"
    if table.name in exclude_tables:
        return "excluded by the profile"
    return None


def _match(name: str, candidates: t.Iterable[str]) -> str | None:
    # SQLite's names are case-insensitive (in ASCII), PostgreSQL's are not; an exact match wins over a folded one.
    names = list(candidates)
    if name in names:
        return name
    folded = [candidate for candidate in names if fold(candidate) == fold(name)]
    return folded[0] if len(folded) == 1 else None


def _pair_columns(
    table: _sqlite_store.Table, target: _postgres_store.Table, policies: t.Mapping[str, str] | None
) -> tuple[tuple[ColumnPlan, ...], list[str]]:
    columns: list[ColumnPlan] = []
    faults: list[str] = []
    targets = {column.name: column for column in target.columns}
    for column in table.columns:
        match = _match(column.name, targets)
        if match is None:
            if not column.generated:
                faults.append(f"column {table.name}.{column.name}: the tenant schema has no such column")
            continue
        found = targets.pop(match)
        if found.generated:
            if not column.generated:
                faults.append(
                    f"column {table.name}.{column.name}: the tenant schema generates it, so the values that "
                    "SQLite stores cannot be loaded"
                )
            continue
        kind = kind_of(found, policies)
        if kind is None:
            faults.append(
                f"column {table.name}.{column.name}: no exact conversion from SQLite's "
                f"{column.declared_type or 'untyped'} to {found.declared} is known"
            )
            continue
        columns.append(
            ColumnPlan(
                column.name, found.name, column.declared_type, found.declared, kind, found.not_null, found.sequence
            )
        )
    faults += [
        f"column {table.name}.{column.name}: the tenant schema needs a value for it, the SQLite file has no such column"
        for column in targets.values()
        if column.not_null and not (column.has_default or column.identity or column.generated)
    ]
    return tuple(columns), faults


def _table_plan(
    table: _sqlite_store.Table,
    target: _postgres_store.Table,
    columns: tuple[ColumnPlan, ...],
    tenant_column: str | None,
    foreign_keys: t.Sequence[_postgres_store.ForeignKey],
    by_target: t.Mapping[str, str],
    paired: t.Mapping[str, tuple[_sqlite_store.Table, _postgres_store.Table]],
) -> TablePlan:
    to_source = {column.target: column.source for column in columns}
    references = []
    for foreign in foreign_keys:
        if not set(foreign.columns) <= set(to_source):
            continue
        parent = by_target[foreign.parent[1]]
        parents = {fold(name): name for name in paired[parent][0].column_names}
        references.append(
            Reference(
                tuple(to_source[name] for name in foreign.columns),
                parent,
                tuple(parents.get(fold(name), name) for name in foreign.parent_columns),
                foreign.parent[1],
                foreign.parent_columns,
            )
        )
    uniques = tuple(
        tuple(to_source[name] for name in names) for names in target.uniques if set(names) <= set(to_source)
    )
    source_uniques = tuple(
        tuple(name for name in index.columns if name is not None)
        for index in table.indexes
        if index.unique and not index.partial and None not in index.columns
    )
    # The target's key identifies a row on both sides once the census found it unique; SQLite's own is as good.
    own = table.key if set(table.key) <= set(to_source.values()) else ()
    target_key = tuple(to_source[name] for name in target.key if name in to_source)
    key = own or (target_key if len(target_key) == len(target.key) else ())
    return TablePlan(
        table.name,
        target.name,
        columns,
        key,
        tenant_column,
        uniques,
        (*source_uniques, own),
        tuple(references),
        row_name=_row_name(table),
        indexes=tuple(
            tuple(to_source[name] for name in names) for names in target.indexes if set(names) <= set(to_source)
        ),
        stored_by=table.key if table.without_rowid else (),
    )


def _with_parents(plan: TablePlan, plans: t.Mapping[str, TablePlan]) -> TablePlan:
    """Return the plan with what its references have to know of the parents."""
    references = []
    for reference in plan.references:
        parent = plans.get(reference.parent)
        kinds = {column.source: column.kind for column in parent.columns} if parent else {}
        known = [kinds[name] for name in reference.parent_columns if name in kinds]
        conditions = [aside.condition for aside in parent.set_aside] if parent else []
        references.append(dataclasses.replace(reference, parent_kinds=tuple(known), parent_set_aside=tuple(conditions)))
    return dataclasses.replace(plan, references=tuple(references))


def _row_name(table: _sqlite_store.Table) -> str | None:
    return None if table.without_rowid else free_row_name(table.column_names)


def _compare_only(
    table: _sqlite_store.Table, target: _postgres_store.Table, policies: t.Mapping[str, str] | None
) -> tuple[ColumnPlan, ...]:
    """Return the columns that both stores generate, where their type is known."""
    targets = {column.name: column for column in target.columns}
    found = []
    for column in table.columns:
        match = _match(column.name, targets) if column.generated else None
        kind = kind_of(targets[match], policies) if match else None
        if match and kind and targets[match].generated:
            theirs = targets[match]
            found.append(ColumnPlan(column.name, match, column.declared_type, theirs.declared, kind, theirs.not_null))
    return tuple(found)


def _set_aside(columns: t.Iterable[ColumnPlan], policies: t.Mapping[str, str] | None) -> tuple[SetAside, ...]:
    wanted = {name for name, policy in (policies or {}).items() if policy == QUARANTINE}
    return tuple(
        SetAside(
            problem.problem_class,
            column.source,
            problem.text,
            f"ifnull({problem.condition.replace('{x}', quote(column.source))}, 0)",
        )
        for column in columns
        for problem in problems_of(column.kind, column.target_type, column.not_null)
        if problem.problem_class in wanted
    )


def load_order(plans: t.Mapping[str, TablePlan]) -> tuple[list[str], list[str]]:
    """Return the tables with parents before children, by name where nothing decides, and the tables of a cycle.

    A table that refers to itself is no cycle: PostgreSQL checks such a key at the end of the COPY statement.
    """
    waiting = {
        name: {reference.parent for reference in plan.references if reference.parent in plans} - {name}
        for name, plan in plans.items()
    }
    ordered: list[str] = []
    while waiting:
        free = sorted(name for name, parents in waiting.items() if not parents)
        if not free:
            return [*ordered, *sorted(waiting)], sorted(waiting)
        for name in free:
            ordered.append(name)
            del waiting[name]
        for parents in waiting.values():
            parents.difference_update(free)
    return ordered, []
