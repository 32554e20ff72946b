# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Ask the gates of a stage: each is measured by one function, and what stops one of them stops no other."""

from __future__ import annotations

import datetime
import typing as t

from . import (
    _gate_access,
    _gate_backup,
    _gate_close,
    _gate_host,
    _gate_logs,
    _gate_postgres,
    _gate_rehearsal,
    _gate_run,
    _gate_sessions,
)
from ._attested import read_statements
from ._errors import CutoverError
from ._gate_decision import Decision, Measured, decide
from ._gate_look import Entry, GateLook
from ._gates import gates_of
from ._verdict import not_verified

if t.TYPE_CHECKING:
    from ._postgres_programs import Runner

_MEASURES: tuple[t.Callable[[GateLook], Measured], ...] = (
    _gate_access.privileges,
    _gate_access.tls,
    _gate_backup.backup_of_this_run,
    _gate_backup.postgres_snapshot_of_this_run,
    _gate_backup.rollback_candidate,
    _gate_backup.sqlite_backup,
    _gate_close.backend_observed,
    _gate_close.data,
    _gate_close.plugin_validated,
    _gate_close.reads_validated,
    _gate_close.window,
    _gate_close.writes_validated,
    _gate_host.disk,
    _gate_host.settings_flags,
    _gate_host.tools,
    _gate_logs.logs_reviewed,
    _gate_postgres.connections,
    _gate_postgres.encoding,
    _gate_postgres.extensions,
    _gate_postgres.postgres_version,
    _gate_postgres.writable_primary,
    _gate_rehearsal.import_rehearsal,
    _gate_rehearsal.migration_dry_run,
    _gate_rehearsal.restore_drill,
    _gate_rehearsal.rollback_rehearsal,
    _gate_run.migrations,
    _gate_run.parity,
    _gate_run.registry,
    _gate_run.smoke,
    _gate_sessions.search_path_sessions,
)
# Each is named like its gate.
MEASURES = {measure.__name__: measure for measure in _MEASURES}


def ask_gates(
    params: t.Mapping[str, t.Any], run: Runner, now: datetime.datetime, entries: t.Sequence[Entry]
) -> Decision:
    """Return what the gates of a stage come to; nothing is changed.

    Args:
        params: The options of module C(release_gate).
        run: Runs a program.
        now: The present, in UTC.
        entries: The ledger of the profile.
    """
    stage = str(params["stage"])
    max_age = datetime.timedelta(days=params["attestation_max_age_days"])
    statements = read_statements(params["attested"], params["waived"], now, max_age)
    look = GateLook(params, run, now, entries)
    try:
        measured = {gate.name: measure(gate.name, look) for gate in gates_of(stage) if gate.name in MEASURES}
    finally:
        look.close()
    return decide(stage, measured, statements)


def measure(name: str, look: GateLook) -> Measured:
    """Return what one gate measures; what cannot be measured is not verified, with the reason."""
    try:
        return MEASURES[name](look)
    except CutoverError as error:
        return not_verified(name, error.message())
