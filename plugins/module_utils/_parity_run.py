# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One parity run over a whole profile: every table, the further checks, the shared tables, one verdict."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

from . import _parked_objects, _quarantine, _schema_promises, _shared_rows
from ._errors import ParityFailed
from ._live_comparison import Live
from ._online_names import OnlineNames
from ._parity import TableParity, compare_table
from ._parity_checks import check_table
from ._progress import SILENT, Progress
from ._verdict import NOT_VERIFIED, PASSED, Check, describe, not_verified, open_checks, overall

if t.TYPE_CHECKING:
    from ._tenant_stores import Stores
    from ._workers import Workers


@dataclasses.dataclass(frozen=True)
class ParityRun:
    """The outcome: the comparison of every table, and all checks."""

    tables: tuple[TableParity, ...]
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        return overall(self.checks)

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "verdict": self.verdict,
            "checks": [check.as_dict() for check in self.checks],
            "tables": [table.as_dict() for table in self.tables],
            "rows": sum(table.sqlite_rows for table in self.tables),
        }

    def refuse(self, source_id: str, facts: t.Mapping[str, t.Any]) -> None:
        """Raise L(ParityFailed) with every open check, unless all passed."""
        if self.verdict == PASSED:
            return
        what = "is not verified" if self.verdict == NOT_VERIFIED else "failed"
        raise ParityFailed(
            f"Parity of source_id {source_id!r} {what}",
            describe(open_checks(self.checks)),
            "The rows named here are not the same in both stores, or were not compared. Nothing was changed.",
            **facts,
        )


def compare_stores(
    stores: Stores,
    shared_tables: t.Sequence[t.Mapping[str, t.Any]],
    mode: str,
    progress: Progress = SILENT,
    workers: Workers | None = None,
) -> ParityRun:
    """Compare everything of one profile at one instant of each store.

    Args:
        stores: Both stores, from L(_tenant_stores.open_stores).
        shared_tables: As in L(_options.tenant_data_options).
        mode: As in L(_parity.compare_table).
        progress: Is told of every table.
        workers: As in L(_parity.compare_table).

    Raises:
        CutoverError: A store cannot be read.
    """
    source, connection, plan = stores.source, stores.connection, stores.plan
    schema_name, source_id = stores.profile.schema_name, stores.profile.source_id
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    tables = [
        compare_table(source, connection, table, schema_name, source_id, mode, progress, workers)
        for table in plan.tables
    ]
    checks = [table.as_check() for table in tables]
    if not any(table.sqlite_rows or table.postgres_rows for table in tables):
        checks.append(not_verified("rows compared", "no table holds a row of this profile, so nothing is proven"))
    for table in plan.tables:
        checks += _quarantine.as_checks(source, connection, table, schema_name, source_id)
    checks.append(_parked_objects.as_check(connection, schema_name))
    if mode == "full":
        checks += _schema_promises.as_checks(connection, schema_name)
        for table in plan.tables:
            columns = stores.targets[table.target].columns
            progress.begin("check", table.source, 0)
            checks += check_table(source, connection, table, schema_name, source_id, columns)
            progress.end()
        checks += [row.as_check() for row in _shared_rows.read(source, connection, shared_tables, source_id)]
    connection.rollback()
    return ParityRun(tuple(tables), tuple(checks))


def compare_live_stores(
    stores: Stores, begin: t.Callable[[], Workers | None], progress: Progress = SILENT
) -> ParityRun:
    """Compare everything of one profile while PostgreSQL takes its writes, beside what is on its way back to SQLite.

    The shared tables take no part: nothing of them is brought back, so the application may change them at will.

    Args:
        stores: Both stores, from L(_tenant_stores.open_stores).
        begin: As in L(_live_comparison.Live).
        progress: Is told of every table.

    Raises:
        CutoverError: A store cannot be read.
    """
    source, connection, plan = stores.source, stores.connection, stores.plan
    schema_name, source_id = stores.profile.schema_name, stores.profile.source_id
    columns = {name: table.columns for name, table in stores.targets.items()}

    def also() -> list[Check]:
        aside = [_quarantine.as_checks(source, connection, table, schema_name, source_id) for table in plan.tables]
        parked = _parked_objects.as_check(connection, schema_name)
        return [*itertools.chain(*aside), parked, *_schema_promises.as_checks(connection, schema_name)]

    live = Live(
        connection,
        source,
        plan,
        OnlineNames(schema_name),
        source_id,
        columns=columns,
        begin=begin,
        progress=progress,
    )
    found = live.compare(deep=True, also=also)
    return ParityRun(tuple(found.tables), tuple(found.checks))
