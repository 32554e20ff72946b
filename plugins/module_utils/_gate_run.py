# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Gates right before the switch on what this run has done: parity, smoke checks, registry, migration history."""

from __future__ import annotations

import typing as t

from ._gate_decision import LeftOut, Measured
from ._gate_ledger import last_phase, open_names
from ._gate_look import Entry, GateLook
from ._gates import BEFORE_CHANGE
from ._migration_history import check_history
from ._postgres_store import schema_exists
from ._profile import profile_of
from ._tenant_schema import known_mappings
from ._verdict import FAILED, NOT_VERIFIED, PASSED, Check, describe, not_verified, open_checks, overall


def parity(look: GateLook) -> Measured:
    """The last parity of this cutover is green, and came after the load that it is about."""
    entry, load = last_phase(look.entries, "parity"), last_phase(look.entries, "load")
    if entry is None:
        return not_verified("parity", "the ledger has no phase parity; run the cutover from its beginning")
    if load and load["seq"] > entry["seq"]:
        return not_verified(
            "parity", "rows were loaded after they were compared last; run the cutover from its beginning"
        )
    return _phase("parity", entry, "every row was compared and is the same", "rows differ")


def smoke(look: GateLook) -> Measured:
    """The application answered on PostgreSQL, where a standby can be asked."""
    if not look.params["standby"]:
        words = (
            "the profile has no standby, so the application cannot be asked on PostgreSQL before the switch; the same "
            "checks run right after it, and bring SQLite back when one fails"
        )
        return Check("smoke", PASSED, "asked where there is a standby", "no standby", words)
    entry = last_phase(look.entries, "smoke")
    if entry is None:
        return not_verified("smoke", "the ledger has no phase smoke; run the cutover from its beginning")
    return _phase(
        "smoke", entry, "the standby answered every smoke check on PostgreSQL", "the standby did not answer well"
    )


def _phase(name: str, entry: Entry, good: str, bad: str) -> Check:
    wrong, status = open_names(entry), entry["status"]
    observed = {"status": status, "checks": len(entry.get("checks") or []), "open": wrong}
    expected = {"status": "passed", "open": []}
    if status == "started":
        return not_verified(name, f"phase {name} was begun and has not ended; run the cutover again", expected)
    if status != "passed" or wrong:
        why = entry.get("message") or ", ".join(wrong)
        return Check(name, FAILED, expected, observed, f"{bad}: {why}")
    if not observed["checks"]:
        return not_verified(name, f"phase {name} passed without a single check", expected)
    return Check(name, PASSED, expected, observed, f"{good} ({observed['checks']} checks, {entry['time']})")


def registry(look: GateLook) -> Measured:
    """The application's registry maps the profile to its schema, and the schema exists."""
    table = look.params["registry_table"]
    if not table:
        return LeftOut("the application keeps no registry of its schemas")
    schema = _schema(look)
    found = known_mappings(look.admin, table).get(look.source_id)
    exists = schema_exists(look.admin, schema)
    look.admin.rollback()
    if found == schema and exists:
        return Check("registry", PASSED, schema, found, f"{table} maps {look.source_id} to {schema}")
    words = f"{table} maps {look.source_id} to {found}, and the profile says {schema}"
    if found is None:
        words = f"{table} has no mapping for {look.source_id}"
    elif found == schema:
        words = f"{table} maps {look.source_id} to {schema}, which does not exist"
    return Check("registry", FAILED, schema, found, f"{words}; correct it, or run the bootstrap again")


def migrations(look: GateLook) -> Measured:
    """The migration history of the application is the expected one, checksums included."""
    wanted = look.params["migrations"]
    if not wanted:
        return LeftOut("the profile names no migration history")
    schema = _schema(look)
    if look.params["stage"] == BEFORE_CHANGE:
        exists = schema_exists(look.admin, schema)
        look.admin.rollback()
        if not exists:
            return LeftOut(f"schema {schema} is still to be made; it is asked before the switch")
    checks = check_history(look.admin, schema, wanted)
    look.admin.rollback()
    verdict = overall(checks)
    expected: t.Any = [check.expected for check in checks]
    observed: t.Any = [check.observed for check in checks]
    if verdict == PASSED:
        return Check("migrations", PASSED, expected, observed, f"{wanted['table']} holds what is expected")
    words = describe(open_checks(checks)) or "nothing was compared"
    if verdict == NOT_VERIFIED:
        return not_verified("migrations", words, expected)
    return Check("migrations", FAILED, expected, observed, f"{words}. Have the application apply its migrations")


def _schema(look: GateLook) -> str:
    return profile_of(look.source_id, look.params["schema_prefix"], look.params["schema_name"]).schema_name
