# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Copy one profile's rows from a snapshot into its schema, by several processes, all or nothing per table."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from . import _key_ranges, _load_end, _load_journal, _parked_objects, _quarantine
from ._errors import PostgresError, SchemaRefused, SqliteError
from ._load_decision import KEEP, REPLACE, clear
from ._load_journal import Held, Loaded
from ._load_worker import LoadWorker, Prepared
from ._postgres_store import postgres_errors, roll_back
from ._psycopg2 import sql
from ._snapshot_reader import read_at_one_instant
from ._sqlite_store import highest_given
from ._value_kinds import COUNTED
from ._workers import WorkerDied, Workers

if t.TYPE_CHECKING:
    from ._census import Census
    from ._planned_table import TablePlan
    from ._progress import Progress
    from ._tenant_stores import Stores

# A table with fewer rows keeps its indexes: taking them away and building them takes longer than it saves.
_ROWS_WORTH_PARKING = 20_000


@dataclasses.dataclass
class TableLoad:
    """What happens, or happened, to one table: C(action) is load, keep (already there) or replace; times in ms."""

    table: str
    action: str
    rows: int
    copy_ms: int = 0
    duration_ms: int = 0


@dataclasses.dataclass
class Load:
    """One load on its way: the stores, the processes that do the work, and whom to tell how far it is.

    C(enforced) are the foreign keys, child and parent, that PostgreSQL looks at while rows are copied.
    """

    stores: Stores
    workers: Workers
    params: t.Mapping[str, t.Any]
    snapshot_sha256: str
    progress: Progress
    enforced: frozenset[tuple[str, str]] = frozenset()
    index_ms: int = 0

    @property
    def schema_name(self) -> str:
        return self.stores.profile.schema_name

    @property
    def source_id(self) -> str:
        return self.stores.profile.source_id


def make_workers(count: int) -> Workers:
    """Fork the processes of a load; no store may be open yet."""
    return Workers(count, LoadWorker)


def open_workers(workers: Workers, stores: Stores, params: t.Mapping[str, t.Any]) -> None:
    """Let every process open the stores and see the same instant of the SQLite file as C(stores) does from now on.

    Raises:
        SqliteError: The file is written to without a pause, so there is no such instant.
        CutoverError: A store cannot be opened.
    """
    path = stores.sqlite_path
    if not read_at_one_instant(workers, stores.source, path):
        raise SqliteError(
            f"SQLite file {path} is written to without a pause",
            "several processes can read it only while it stands still for a moment",
            "Load from a snapshot of it (module sqlite_backup).",
        )
    workers.each("connect", params)


def load_tables(load: Load, actions: t.Mapping[str, str], taken: t.Mapping[str, Census]) -> t.Iterator[TableLoad]:
    """Do what was decided, table by table, and yield each when it is complete; indexes and constraints at the end.

    Args:
        load: The load; its processes have the stores open.
        actions: As L(_load_decision.decide) returned them, by target.
        taken: The census of each table, by source; without findings.

    Raises:
        CutoverError: A table could not be loaded. It is as it was; those before it are complete.
    """
    plans = load.stores.plan.tables
    _load_journal.make_sure(load.stores.connection)
    if REPLACE in actions.values():
        clear(load.stores.connection, plans, load.schema_name)
    todo = [plan for plan in plans if actions[plan.target] != KEEP]
    if load.stores.plan.cyclic or any(taken[plan.source].rows >= _ROWS_WORTH_PARKING for plan in todo):
        _parked_objects.park(load.stores.connection, load.schema_name, [plan.target for plan in todo])
    load.enforced = _enforced(load)
    _refuse_cycle(load)
    for plan in todo:
        yield _load_table(load, plan, actions[plan.target], taken[plan.source])
    started = time.monotonic()
    _load_end.finish(load, [plan.target for plan in todo])
    load.index_ms = _ms(started, time.monotonic())


def _enforced(load: Load) -> frozenset[tuple[str, str]]:
    away = {(one.table, one.name) for one in _parked_objects.read(load.stores.connection, load.schema_name)}
    load.stores.connection.rollback()
    return frozenset(
        (plan.target, key.parent[1])
        for plan in load.stores.plan.tables
        for key in load.stores.targets[plan.target].foreign_keys
        if key.parent[0] == load.schema_name and (plan.target, key.name) not in away
    )


def _refuse_cycle(load: Load) -> None:
    cyclic = load.stores.plan.cyclic
    if any({child, parent} <= set(cyclic) and child != parent for child, parent in load.enforced):
        raise SchemaRefused(
            f"Tables {', '.join(cyclic)} cannot be loaded",
            "their foreign keys form a cycle, and this role may not take them away for the load",
            "Nothing was loaded. Load with a role that owns the tables (admin_dsn of the profile).",
        )


def _load_table(load: Load, plan: TablePlan, action: str, census: Census) -> TableLoad:
    started = time.monotonic()
    connection = load.stores.connection
    what = f"Loading table {load.schema_name}.{plan.target}"
    _discard_half_a_load(load, plan)
    load.progress.begin("load", plan.source, census.rows)
    # Rows that refer to each other have to come in one transaction while PostgreSQL looks at that.
    processes = 1 if (plan.target, plan.target) in load.enforced else len(load.workers)
    ranges = _key_ranges.cut(load.stores.source, plan, load.source_id, census.rows, processes)
    jobs = [(plan, load.schema_name, rows, census) for rows in ranges]
    try:
        sent = sum(load.workers.spread("copy", jobs, load.progress.advance))
        if sent != census.rows:
            raise SqliteError(f"{what} failed", f"the census counted {census.rows} row(s), {sent} were read")
        prepared: list[Prepared] = [answer for answer in load.workers.each("prepare") if answer]
        loaded = Loaded(plan.target, load.snapshot_sha256, sent, tuple(one.transaction for one in prepared), False)
        with postgres_errors(what):
            _load_journal.write(connection, load.schema_name, load.source_id, loaded)
            connection.commit()
    except Exception:
        _undo(load)
        raise
    try:
        load.workers.each("commit")
        copied = time.monotonic()
        with postgres_errors(what), connection.cursor() as cursor:
            held = _load_journal.held(connection, load.schema_name, plan.target, loaded.transactions)
            _refuse_other_rows(what, held, sent)
            _quarantine.keep(load.stores.source, connection, plan, load.schema_name, load.source_id)
            _align_sequences(load, cursor, plan)
            complete = dataclasses.replace(loaded, complete=True)
            _load_journal.write(connection, load.schema_name, load.source_id, complete)
            connection.commit()
    except Exception:
        _undo(load)
        with contextlib.suppress(PostgresError):  # otherwise the next run removes it
            _discard_half_a_load(load, plan)
        raise
    load.progress.end()
    return TableLoad(plan.target, action, sent, _ms(started, copied), _ms(started, time.monotonic()))


def _undo(load: Load) -> None:
    roll_back(load.stores.connection)
    with contextlib.suppress(WorkerDied):  # which rolls back as well
        load.workers.each("roll_back")


def _discard_half_a_load(load: Load, plan: TablePlan) -> None:
    connection = load.stores.connection
    with postgres_errors(f"Removing half a load of {load.schema_name}.{plan.target}"):
        half = _load_journal.read(connection, load.schema_name).get(plan.target)
        if half is not None and not half.complete:
            _load_journal.discard(connection, load.schema_name, half)
        connection.commit()


def _refuse_other_rows(what: str, held: Held, sent: int) -> None:
    if held != (sent, sent):
        raise PostgresError(
            f"{what} failed",
            f"{sent} row(s) were sent, the table held {held.rows} right after: a trigger of it, or another session, "
            "wrote or withheld rows",
            "Nothing of this table was kept. Stop what writes there, and run the same command again.",
        )


def _align_sequences(load: Load, cursor: t.Any, plan: TablePlan) -> None:
    # S31: a sequence left behind gives a duplicate key on the first insert. An empty table starts at its beginning,
    # unless SQLite promises (AUTOINCREMENT) that a number is never given twice.
    target = sql.Identifier(load.schema_name, plan.target)
    used = highest_given(load.stores.source, plan.source)
    for column in plan.columns:
        if column.sequence and column.kind.name in COUNTED:
            align = (
                "SELECT setval({}::regclass, m, true) FROM (SELECT greatest(max({}), {}) FROM {}) AS t (m) WHERE m > 0"
            )
            least = sql.Literal(used if (column.source,) == plan.key else None)
            name = sql.Literal(column.sequence)
            cursor.execute(sql.SQL(align).format(name, sql.Identifier(column.target), least, target))


def _ms(start: float, end: float) -> int:
    return round((end - start) * 1000)
