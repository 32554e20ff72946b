# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The domain errors of the engine: each says what stopped, why, and what to do about it."""

from __future__ import annotations

import typing as t


class CutoverError(Exception):
    """Something stopped the verb that was running.

    Args:
        what: What stopped, naming the thing (a path, a table, a source_id). No final full stop.
        why: The reason, in the words of the party that refused. Empty when C(what) says it all.
        remedy: What the operator does about it, as a sentence or a command.
        facts: Structured fields for the task result; they must not hold secrets.
    """

    code: t.ClassVar[str] = "failed"

    def __init__(self, what: str, why: str = "", remedy: str = "", **facts: t.Any) -> None:
        self.what = what
        self.why = why
        self.remedy = remedy
        self.facts = facts
        super().__init__(self.message())

    def message(self) -> str:
        """Return the one text an operator reads: what stopped, why, what to do."""
        text = self.what.rstrip(".")
        if self.why:
            text += ": " + self.why.strip().rstrip(".")
        text += "."
        if self.remedy:
            text += " " + self.remedy.strip()
        return text


class BadInput(CutoverError):
    """An option or an inventory value cannot be used as it is."""

    code = "bad_input"


class ProfileError(CutoverError):
    """A source_id or its schema name is refused (DESIGN: naming rules, never cleaned)."""

    code = "profile_refused"


class SqliteError(CutoverError):
    """The SQLite file is missing, unreadable, damaged or locked."""

    code = "sqlite"


class CsvError(CutoverError):
    """A CSV file is missing, is not the one it is said to be, or is not written as CSV is."""

    code = "csv"


class PostgresError(CutoverError):
    """PostgreSQL cannot be reached, or refused what was asked."""

    code = "postgres"


class SchemaRefused(CutoverError):
    """A table, column or index cannot be carried over, or does not pair with the target."""

    code = "schema_refused"


class DataRefused(CutoverError):
    """Rows hold values that the target cannot hold; nothing was loaded."""

    code = "data_refused"


class TargetNotEmpty(CutoverError):
    """The tenant schema holds rows that no load of ours accounts for."""

    code = "target_not_empty"


class MigrationsOpen(CutoverError):
    """PostgreSQL has not the migrations that the application expects."""

    code = "migrations_open"


class ParityFailed(CutoverError):
    """The two stores do not hold the same rows, or it could not be verified that they do."""

    code = "parity_failed"


class CaptureError(CutoverError):
    """Changes of a store are not captured, or not all of them, so nothing can be replayed from there."""

    code = "capture"


class ReplayError(CutoverError):
    """A changed row cannot be brought into the other store as it is; nothing of its kind was acknowledged."""

    code = "replay"


class SwitchRefused(CutoverError):
    """A precondition of the switch does not hold, or the switch was undone; the live store is as it was."""

    code = "switch_refused"


class BackupError(CutoverError):
    """A backup could not be written or did not verify; nothing half-written is kept."""

    code = "backup"


class SettingsError(CutoverError):
    """The settings file is missing, unreadable, unwritable or ambiguous."""

    code = "settings"


class RouterError(CutoverError):
    """The router in front of the application cannot be asked, or does not send the profile where it should."""

    code = "router"


class LockHeld(CutoverError):
    """Another run works on this profile."""

    code = "lock_held"


class LedgerError(CutoverError):
    """The ledger cannot be read or written, or its chain of digests is broken."""

    code = "ledger"


class ProbeError(CutoverError):
    """The application could not be asked at all."""

    code = "probe"


class MissingDependency(CutoverError):
    """A library or program that the managed host needs is not there, or is too old."""

    code = "missing_dependency"
