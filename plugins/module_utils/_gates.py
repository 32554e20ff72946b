# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The go/no-go gates: their names, when each is asked, and who can answer it. Pure."""

from __future__ import annotations

import dataclasses

BEFORE_CHANGE = "before_change"
BEFORE_SWITCH = "before_switch"
CLOSE = "close"
STAGES = (BEFORE_CHANGE, BEFORE_SWITCH, CLOSE)

MEASURED = "measured"  # on the stores, the host or this run: nobody's word stands in for it
EVIDENCE = "evidence"  # what the ledger or the logs tell; people may say it where nothing newer was measured
PEOPLE = "people"  # only people can say it


@dataclasses.dataclass(frozen=True)
class Gate:
    """One gate.

    Attributes:
        name: Its name in results, in the ledger and in C(attest).
        asks: What it asks, as a sentence about a finished thing.
        kind: L(MEASURED), L(EVIDENCE) or L(PEOPLE).
        stages: When it is asked.
    """

    name: str
    asks: str
    kind: str
    stages: tuple[str, ...]


def _gate(name: str, asks: str, kind: str, *stages: str) -> Gate:
    return Gate(name, asks, kind, stages)


# What was said about gates is itself a gate: a line that names none must not be passed over.
STATEMENTS = "statements"

GATES = (
    _gate(STATEMENTS, "what people said names gates that people can answer", MEASURED, *STAGES),
    # Before anything is changed: seed 002 §4, seed 004 §1, seed 000 §0
    _gate("sqlite_backup", "SQLite is backed up and the checksum verified", MEASURED, BEFORE_CHANGE),
    _gate("restore_drill", "a backup was restored and read in a drill", EVIDENCE, BEFORE_CHANGE),
    _gate("migration_dry_run", "schema and load were tried on a copy", EVIDENCE, BEFORE_CHANGE),
    _gate("import_rehearsal", "the import was rehearsed with parity green", EVIDENCE, BEFORE_CHANGE),
    _gate("rollback_rehearsal", "the way back was rehearsed and timed", EVIDENCE, BEFORE_CHANGE),
    _gate("qa_sign_off", "QA has signed off", PEOPLE, BEFORE_CHANGE),
    _gate("on_call", "on-call staff and the communication bridge are confirmed", PEOPLE, BEFORE_CHANGE),
    _gate("runbook_approval", "the runbook is approved", PEOPLE, BEFORE_CHANGE),
    _gate("owners", "release owner, rollback owner and incident channel are named", PEOPLE, BEFORE_CHANGE),
    _gate("tools", "pg_dump, pg_restore and psql are there, and not older than the server", MEASURED, BEFORE_CHANGE),
    _gate("settings_flags", "the guards in the settings file are set", MEASURED, BEFORE_CHANGE),
    _gate("disk", "there is room for the backups", MEASURED, BEFORE_CHANGE),
    _gate("postgres_version", "PostgreSQL is 14 to 18", MEASURED, BEFORE_CHANGE),
    _gate("writable_primary", "PostgreSQL is a primary that takes writes", MEASURED, BEFORE_CHANGE, BEFORE_SWITCH),
    _gate("encoding", "the database is encoded in UTF8", MEASURED, BEFORE_CHANGE),
    _gate("privileges", "both roles may do what they have to", MEASURED, BEFORE_CHANGE),
    _gate("tls", "connections that leave the host are encrypted, their server verified", MEASURED, BEFORE_CHANGE),
    _gate("extensions", "the extensions that the application needs are there", MEASURED, BEFORE_CHANGE),
    _gate("connections", "PostgreSQL has connections to spare", MEASURED, BEFORE_CHANGE, BEFORE_SWITCH),
    _gate("search_path_sessions", "a session keeps what it set", MEASURED, BEFORE_CHANGE, BEFORE_SWITCH),
    _gate("migrations", "the migration history is the expected one", MEASURED, BEFORE_CHANGE, BEFORE_SWITCH),
    # Right before the switch: seed 004 §4, seed 000 §1 to §4
    _gate("backup_of_this_run", "the snapshot that was loaded is there and unchanged", MEASURED, BEFORE_SWITCH),
    _gate("postgres_snapshot_of_this_run", "the dump of PostgreSQL is there and unchanged", MEASURED, BEFORE_SWITCH),
    _gate("parity", "every row of both stores was compared and is the same", MEASURED, BEFORE_SWITCH),
    _gate("smoke", "the application works on PostgreSQL", MEASURED, BEFORE_SWITCH),
    _gate("rollback_candidate", "the backup to go back to is known", MEASURED, BEFORE_SWITCH),
    _gate("registry", "the registry maps the profile to its schema", MEASURED, BEFORE_SWITCH),
    # Before the close: seed 000 §8, seed 002 §5
    _gate("backend_observed", "responses come from PostgreSQL", EVIDENCE, CLOSE),
    _gate("reads_validated", "reads were tried after the switch", EVIDENCE, CLOSE),
    _gate("writes_validated", "writes were tried after the switch", EVIDENCE, CLOSE),
    _gate("plugin_validated", "what users do was tried after the switch", EVIDENCE, CLOSE),
    _gate("logs_reviewed", "the request log shows no more errors than before", EVIDENCE, CLOSE),
    _gate("rollback_instructions_shared", "operators have the way back", PEOPLE, CLOSE),
    _gate("window", "the switch was watched to the end of its window", MEASURED, CLOSE),
    _gate("data", "the rows of both stores are the same", MEASURED, CLOSE),
)
BY_NAME = {gate.name: gate for gate in GATES}


def gates_of(stage: str) -> list[Gate]:
    """Return the gates of a stage in order."""
    return [gate for gate in GATES if stage in gate.stages]


def can_be_said(name: str) -> bool:
    """Return whether people can attest or waive a gate of this name."""
    return name in BY_NAME and BY_NAME[name].kind != MEASURED
