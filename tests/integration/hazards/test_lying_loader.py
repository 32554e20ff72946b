# SPDX-License-Identifier: GPL-3.0-or-later
"""A loader made to lie, after the load and behind its back: parity finds every lie and names its row and column.

Hypothesis chooses row, column and lie; the lies about known rows, one by one, are in the tests of parity itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from _databases import Database, Tenant
from _lies import CELLS, COLUMNS, IDS, LIES, Loaded, load_both
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import PASSED
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

# The fixture is the same for every example, which leaves it as it was found.
PROPERTY = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def loaded(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_both(database, tmp_path_factory.mktemp("lies") / "snapshot.db")


@pytest.fixture
def lies(loaded: Loaded) -> Iterator[Loaded]:
    yield loaded
    loaded.put_right()
    assert loaded.one.parity().verdict == loaded.other.parity().verdict == PASSED


@settings(PROPERTY, max_examples=30)
@given(cell=st.sampled_from(CELLS), row=st.sampled_from(IDS))
def test_a_lie_about_any_value_is_found_with_row_and_column(lies: Loaded, cell: tuple[str, str], row: str) -> None:
    column, lie = cell
    value = {**LIES[COLUMNS[column]], "NULL": "NULL"}[lie].format(x=column)
    lied = (
        f"UPDATE things SET {column} = {value} WHERE id = '{row}'"
        f" AND {column}::text IS DISTINCT FROM ({value})::{COLUMNS[column]}::text"
    )
    with lies.after(lied) as changed:
        assume(changed)
        assert f"different things (source_id=a, id={row}) in column(s) {column}" in lies.told()


@PROPERTY
@given(rows=st.permutations(IDS).map(lambda ids: ids[:2]), column=st.sampled_from(list(COLUMNS)))
def test_values_exchanged_between_two_rows_are_found_at_both(lies: Loaded, rows: list[str], column: str) -> None:
    of_one, of_other = (f"(SELECT {column} FROM kept.sx_a_things WHERE id = '{row}')" for row in rows)
    lied = (
        f"UPDATE things SET {column} = CASE id WHEN '{rows[0]}' THEN {of_other} ELSE {of_one} END"
        f" WHERE id IN ('{rows[0]}', '{rows[1]}') AND {of_one}::text <> {of_other}::text"
    )
    with lies.after("SET CONSTRAINTS titles DEFERRED", lied) as changed:
        assume(changed == len(rows))
        told = lies.told()
        for row in rows:
            assert f"different things (source_id=a, id={row}) in column(s) {column}" in told


@PROPERTY
@given(row=st.sampled_from(IDS), columns=st.sets(st.sampled_from(list(COLUMNS)), min_size=1))
def test_a_row_swapped_with_that_of_another_profile_is_found_in_both(lies: Loaded, row: str, columns: set[str]) -> None:
    taken = ", ".join(f"{name} = theirs.{name}" for name in columns)
    swapped = (
        f"UPDATE {ours}.things AS ours SET {taken} FROM kept.{theirs}_things AS theirs"
        f" WHERE ours.id = '{row}' AND theirs.id = '{row}'"
        for ours, theirs in (("sx_a", "sx_b"), ("sx_b", "sx_a"))
    )
    named = ", ".join(name for name in COLUMNS if name in columns)
    with lies.after(*swapped):
        assert f"different things (source_id=a, id={row}) in column(s) {named}" in lies.told()
        assert f"different things (source_id=b, id={row}) in column(s) {named}" in lies.told(lies.other)


@PROPERTY
@given(row=st.sampled_from(IDS), whole=st.booleans())
def test_a_row_that_went_to_another_profile_is_missing_here_and_extra_there(
    lies: Loaded, row: str, whole: bool
) -> None:
    """With its own profile's id it is a stranger there, with the other's one row too many."""
    names = ", ".join(COLUMNS)
    profile, new = ("a", row) if whole else ("b", f"{row} of a")
    moved = (
        f"INSERT INTO sx_b.things (source_id, id, {names}) SELECT '{profile}', '{new}', {names} FROM things"
        f" WHERE id = '{row}'"
    )
    with lies.after(moved, f"DELETE FROM things WHERE id = '{row}'"):
        assert f"missing things (source_id=a, id={row})" in lies.told()
        assert f"extra things (source_id={profile}, id={new})" in lies.told(lies.other)


EVENTS = [("'x'", "1"), ("'x'", "2"), ("''", "1"), ("NULL", "1"), ("NULL", "NULL"), ("'y'", "NULL")]


def shown(event: tuple[str, str]) -> str:
    """Return how a difference names an event that is written in SQL literals."""
    what, n = ("None" if literal == "NULL" else literal.strip("'") for literal in event)
    return f"events (source_id=a, what={what}, n={n})"


@PROPERTY
@given(event=st.sampled_from(EVENTS), times=st.integers(1, 4))
def test_a_row_without_a_key_that_is_there_too_often_is_found(lies: Loaded, event: tuple[str, str], times: int) -> None:
    with lies.after(f"INSERT INTO events SELECT 'a', {', '.join(event)} FROM generate_series(1, {times})"):
        assert f"extra {shown(event)}" in lies.told()


@PROPERTY
@given(event=st.sampled_from(EVENTS), other=st.sampled_from(EVENTS))
def test_a_row_without_a_key_in_place_of_another_is_found_though_the_number_is_right(
    lies: Loaded, event: tuple[str, str], other: tuple[str, str]
) -> None:
    assume(event != other)
    first = f"SELECT min(ctid) FROM events WHERE (what, n) IS NOT DISTINCT FROM ({', '.join(event)})"
    with lies.after(f"UPDATE events SET (what, n) = ({', '.join(other)}) WHERE ctid = ({first})") as changed:
        assert changed == 1
        told = lies.told()
        assert f"missing {shown(event)}" in told
        assert f"extra {shown(other)}" in told


@PROPERTY
@given(row=st.sampled_from(range(100, 120, 2)), lie=st.sampled_from(["deleted", "renumbered", "added"]))
def test_a_row_deleted_renumbered_or_added_is_found_by_its_key(lies: Loaded, row: int, lie: str) -> None:
    statement, *expected = {
        "deleted": (f"DELETE FROM jobs WHERE id = {row}", f"missing jobs (id={row})"),
        "renumbered": (
            f"UPDATE jobs SET id = -id WHERE id = {row}",
            f"missing jobs (id={row})",
            f"extra jobs (id=-{row})",
        ),
        "added": (f"INSERT INTO jobs VALUES ({row} + 1, 'a')", f"extra jobs (id={row + 1})"),
    }[lie]
    with lies.after(statement):
        told = lies.told()
        for part in expected:
            assert part in told


@PROPERTY
@given(position=st.integers(1, 117))
def test_a_sequence_that_was_set_back_is_found(lies: Loaded, position: int) -> None:
    lies.one.postgres(f"SELECT setval('jobs_id_seq', {position})")
    try:
        assert "sequence of jobs.id" in lies.told()
    finally:
        lies.one.postgres("SELECT setval('jobs_id_seq', 118)")


PROMISES = {
    "by_day": ("DROP INDEX by_day", "CREATE INDEX by_day ON things (day)"),
    "titles": (
        "ALTER TABLE things DROP CONSTRAINT titles",
        "ALTER TABLE things ADD CONSTRAINT titles UNIQUE (title) DEFERRABLE",
    ),
    "small": (
        "ALTER TABLE things DROP CONSTRAINT small",
        "ALTER TABLE things ADD CONSTRAINT small CHECK (size < 1000)",
    ),
    "of_thing": (
        "ALTER TABLE jobs DROP CONSTRAINT of_thing",
        "ALTER TABLE jobs ADD CONSTRAINT of_thing FOREIGN KEY (source_id, thing) REFERENCES things (source_id, id)",
    ),
    "jobs_pkey": ("ALTER TABLE jobs DROP CONSTRAINT jobs_pkey", "ALTER TABLE jobs ADD PRIMARY KEY (id)"),
    "source_id": (
        "ALTER TABLE jobs ALTER source_id DROP NOT NULL",
        "ALTER TABLE jobs ALTER source_id SET NOT NULL",
    ),
}


@pytest.mark.parametrize("promise", list(PROMISES))
def test_an_index_or_constraint_that_went_missing_after_the_load_is_found_by_name(lies: Loaded, promise: str) -> None:
    broken, mended = PROMISES[promise]
    lies.one.postgres(broken)
    try:
        assert promise in lies.told()
    finally:
        lies.one.postgres(mended)


def test_promises_that_a_killed_load_did_not_write_down_are_written_by_the_next_run(
    database: Database, tmp_path: Path
) -> None:
    other = Tenant(database, tmp_path / "snapshot.db", "c")
    other.hold("TEXT", "text UNIQUE", "a", "b").load()
    written = "SELECT * FROM sxops_cutover.promise WHERE schema_name = 'sx_c' ORDER BY 2, 3, 4"
    before = other.database.run(written)
    other.database.run("DELETE FROM sxops_cutover.promise WHERE schema_name = 'sx_c'")
    assert other.actions() == {"t": "keep"}
    assert other.database.run(written) == before != []
