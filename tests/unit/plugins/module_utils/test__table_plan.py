# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairing two catalogues: what travels, in which order, and what stands in the way. No store is touched."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _postgres_store as postgres
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _sqlite_store as sqlite
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import SchemaRefused
from ansible_collections.sxops.pg_cutover.plugins.module_utils._table_plan import Plan, TablePlan, load_order, make_plan


def ours(
    name: str, *columns: str, key: tuple[str, ...] = (), generated: tuple[str, ...] = (), kind: str = "table"
) -> sqlite.Table:
    """Return a SQLite table; its columns have the type TEXT."""
    found = [
        sqlite.Column(column, "TEXT", False, None, key.index(column) + 1 if column in key else 0, column in generated)
        for column in columns
    ]
    return sqlite.Table(name, kind, tuple(found), (), (), False, False, "")


def unique(*columns: str | None, partial: bool = False) -> sqlite.Index:
    return sqlite.Index("i", columns, (False,) * len(columns), True, "c", partial, None)


def column(name: str, type_name: str = "text", **facts: t.Any) -> postgres.Column:
    known = {"not_null": False, "has_default": False, "identity": "", "generated": False, "sequence": None}
    return postgres.Column(name, type_name, facts.pop("declared", type_name), **{**known, **facts})


def theirs(name: str, *columns: str | postgres.Column, **facts: t.Any) -> postgres.Table:
    found = tuple(column(entry) if isinstance(entry, str) else entry for entry in columns)
    return postgres.Table(name, found, facts.get("key", ()), facts.get("uniques", ()), facts.get("foreign_keys", ()))


def foreign(parent: str, schema: str = "sx_a", columns: tuple[str, ...] = ("up",)) -> postgres.ForeignKey:
    return postgres.ForeignKey("fk", columns, (schema, parent), ("id",))


def plan_of(
    tables: t.Sequence[sqlite.Table],
    target: t.Sequence[postgres.Table],
    tenant_column: str | None = None,
    **options: t.Any,
) -> Plan:
    catalog = sqlite.Catalog(tuple(tables), (), ())
    found = {table.name: table for table in target}
    return make_plan(catalog, found, tenant_column=tenant_column, schema_name="sx_a", **options)


def only(plan: Plan) -> TablePlan:
    assert plan.refusals == ()
    (table,) = plan.tables
    return table


# Pairing


def test_tables_and_columns_pair_by_name_whatever_their_order() -> None:
    table = only(plan_of([ours("t", "a", "b")], [theirs("t", "b", "a")]))
    assert [(pair.source, pair.target) for pair in table.columns] == [("a", "a"), ("b", "b")]


def test_names_that_differ_in_case_pair_when_there_is_one_candidate() -> None:
    table = only(plan_of([ours("Videos", "videoId")], [theirs("videos", "VIDEOID")]))
    assert (table.source, table.target, table.columns[0].target) == ("Videos", "videos", "VIDEOID")


def test_an_exact_name_wins_over_a_folded_one() -> None:
    assert only(plan_of([ours("T", "A")], [theirs("T", "A", "a")])).columns[0].target == "A"


def test_two_folded_candidates_are_no_pair() -> None:
    plan = plan_of([ours("Tab", "a")], [theirs("tab", "a"), theirs("TAB", "a")])
    assert plan.refusals == ("table Tab: the tenant schema has no such table",)


def test_letters_outside_ascii_do_not_fold_so_two_tables_never_share_a_target() -> None:
    plan = plan_of([ours("é", "a"), ours("É", "a")], [theirs("é", "a")])
    assert [table.source for table in plan.tables] == ["é"]
    assert plan.refusals == ("table É: the tenant schema has no such table",)


def test_declared_types_and_sequences_are_kept_for_the_operator_and_the_load() -> None:
    table = only(plan_of([ours("t", "a")], [theirs("t", column("a", "varchar", declared="varchar(9)", sequence="s"))]))
    (pair,) = table.columns
    assert (pair.source_type, pair.target_type, pair.kind.name, pair.sequence) == ("TEXT", "varchar(9)", "text", "s")


# Refusals


@pytest.mark.parametrize("type_name", ["interval", "inet", "timetz", "tsvector", "bit", "_text", "my_composite"])
def test_a_type_without_an_exact_conversion_is_refused_by_table_and_column(type_name: str) -> None:
    plan = plan_of([ours("t", "a")], [theirs("t", column("a", type_name))])
    assert plan.refusals == (f"column t.a: no exact conversion from SQLite's TEXT to {type_name} is known",)


def test_a_column_that_the_target_lacks_is_refused() -> None:
    assert plan_of([ours("t", "a", "b")], [theirs("t", "a")]).refusals == (
        "column t.b: the tenant schema has no such column",
    )


def test_a_column_that_the_target_needs_and_sqlite_lacks_is_refused() -> None:
    needed = column("n", not_null=True)
    (refusal,) = plan_of([ours("t", "a")], [theirs("t", "a", needed)]).refusals
    assert refusal.startswith("column t.n: the tenant schema needs a value")


@pytest.mark.parametrize("facts", [{"has_default": True}, {"identity": "d"}, {"generated": True}])
def test_a_column_that_fills_itself_is_not_needed(facts: dict[str, t.Any]) -> None:
    assert only(plan_of([ours("t", "a")], [theirs("t", "a", column("n", not_null=True, **facts))]))


def test_a_stored_column_that_the_target_generates_is_refused_because_its_values_would_be_lost() -> None:
    (refusal,) = plan_of([ours("t", "a", "b")], [theirs("t", "a", column("b", generated=True))]).refusals
    assert refusal.startswith("column t.b: the tenant schema generates it")


def test_a_column_generated_on_both_sides_does_not_travel() -> None:
    table = only(plan_of([ours("t", "a", "b", generated=("b",))], [theirs("t", "a", column("b", generated=True))]))
    assert [pair.source for pair in table.columns] == ["a"]


def test_a_generated_column_without_a_counterpart_is_named_as_left_out() -> None:
    plan = plan_of([ours("t", "a", "b", generated=("b",))], [theirs("t", "a")])
    assert plan.left_out == (("t.b", "generated column without a counterpart: its content is derived"),)


def test_a_generated_column_travels_into_an_ordinary_one() -> None:
    table = only(plan_of([ours("t", "a", "b", generated=("b",))], [theirs("t", "a", "b")]))
    assert [pair.source for pair in table.columns] == ["a", "b"]


def test_a_table_without_the_tenant_column_is_refused() -> None:
    assert plan_of([ours("t", "a")], [theirs("t", "a")], "source_id").refusals == (
        "table t: it has no column source_id to tell the profiles apart",
    )


def test_a_tenant_column_that_does_not_travel_is_refused() -> None:
    tables = [ours("t", "a", "s", generated=("s",))], [theirs("t", "a", column("s", generated=True))]
    assert plan_of(*tables, tenant_column="s").refusals == (
        "table t: its column s does not travel, which tells the profiles apart",
    )


def test_every_fault_is_named_at_once() -> None:
    plan = plan_of([ours("t", "a", "b"), ours("u", "x")], [theirs("t", column("a", "inet"))])
    with pytest.raises(SchemaRefused) as refusal:
        plan.refuse()
    assert refusal.value.facts["refusals"] == list(plan.refusals)
    assert all(name in str(refusal.value) for name in ("t.a", "t.b", "table u"))


def test_a_plan_without_a_table_is_refused() -> None:
    with pytest.raises(SchemaRefused, match="nothing to load"):
        plan_of([], []).refuse()


def test_an_excluded_table_that_does_not_exist_is_a_misspelling() -> None:
    plan = plan_of([ours("t", "a")], [theirs("t", "a")], exclude_tables=["tt"])
    assert plan.refusals == ("table tt: named in the profile, but not in the SQLite file",)


# What stays


def test_what_does_not_travel_is_named_with_its_reason() -> None:
    tables = [
        ours("t", "a"),
        ours("docs", kind="virtual"),
        ours("docs_data", "x", kind="shadow"),
        ours("sources", "id"),
        ours("litestream", "x"),
    ]
    plan = plan_of(
        tables, [theirs("t", "a"), theirs("extra", "x")], shared_tables=["sources"], exclude_tables=["litestream"]
    )
    assert only(plan).source == "t"
    assert {name: reason.split(":")[0].split(",")[0] for name, reason in plan.left_out} == {
        "docs": "virtual table",
        "docs_data": "storage of a virtual table",
        "sources": "shared by all profiles",
        "litestream": "excluded by the profile",
        "extra": "only in the tenant schema; nothing is loaded into it",
    }


# Keys, unique columns, references


def test_sqlites_own_key_identifies_a_row() -> None:
    table = only(plan_of([ours("t", "a", "b", key=("b", "a"))], [theirs("t", "a", "b", key=("a",))]))
    assert table.key == ("b", "a")
    assert table.key_places == (1, 0)


def test_without_one_the_targets_key_does_by_sqlites_names() -> None:
    assert only(plan_of([ours("t", "Id", "b")], [theirs("t", "id", "b", key=("id",))])).key == ("Id",)


def test_a_target_key_that_sqlite_has_only_in_part_identifies_nothing() -> None:
    assert only(plan_of([ours("t", "a")], [theirs("t", "a", column("n", identity="d"), key=("a", "n"))])).key == ()


def test_unique_columns_are_those_the_target_enforces_and_sqlites_own_are_known_to_hold() -> None:
    table = ours("t", "a", "b", key=("a",))
    indexed = sqlite.Table(
        "t",
        "table",
        table.columns,
        (),
        (unique("b"), unique("a", partial=True), unique(None)),
        False,
        False,
        "",
    )
    plan = only(plan_of([indexed], [theirs("t", "a", "b", column("n"), uniques=(("a",), ("a", "b"), ("n",)))]))
    assert plan.uniques == (("a",), ("a", "b"))
    assert plan.source_uniques == (("b",), ("a",))


def test_references_are_the_targets_foreign_keys_by_sqlites_names() -> None:
    plan = plan_of(
        [ours("Parent", "ID", key=("ID",)), ours("child", "Up")],
        [theirs("parent", "id", key=("id",)), theirs("child", "up", foreign_keys=(foreign("parent"),))],
    )
    (reference,) = plan.tables[1].references
    assert (reference.columns, reference.parent, reference.parent_columns) == (("Up",), "Parent", ("ID",))
    assert (reference.parent_target, reference.parent_target_columns) == ("parent", ("id",))


def test_a_foreign_key_into_another_schema_is_no_reference_to_a_table_of_the_same_name() -> None:
    child = theirs("child", "up", foreign_keys=(foreign("parent", schema="public"),))
    plan = plan_of([ours("parent", "id"), ours("child", "up")], [theirs("parent", "id"), child])
    assert [table.references for table in plan.tables] == [(), ()]


# Order


def chain(*pairs: tuple[str, str]) -> tuple[list[sqlite.Table], list[postgres.Table]]:
    names = dict.fromkeys(name for pair in pairs for name in pair if name)
    keys = {name: tuple(foreign(parent) for child, parent in pairs if child == name and parent) for name in names}
    return [ours(name, "id", "up") for name in names], [
        theirs(name, "id", "up", foreign_keys=keys[name]) for name in names
    ]


def test_parents_come_before_children_and_names_decide_the_rest() -> None:
    plan = plan_of(*chain(("z", "m"), ("m", "x"), ("b", "x"), ("a", "")))
    assert [table.source for table in plan.tables] == ["a", "x", "b", "m", "z"]
    assert plan.refusals == ()


def test_a_table_that_refers_to_itself_is_no_cycle() -> None:
    plan = plan_of(*chain(("t", "t")))
    assert plan.refusals == ()
    assert load_order({table.source: table for table in plan.tables}) == (["t"], [])


def test_the_tables_of_a_cycle_are_named_and_come_last() -> None:
    plan = plan_of(*chain(("a", "b"), ("b", "a"), ("c", "")))
    assert plan.refusals == ()
    assert plan.cyclic == ("a", "b")
    assert [table.source for table in plan.tables] == ["c", "a", "b"]
