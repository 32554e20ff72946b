# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Install or remove the capture of one profile in one store, as the module C(change_capture) is told to."""

from __future__ import annotations

import contextlib
import typing as t

from . import _capture_postgres, _capture_sqlite, _capture_statements, _postgres_store, _postgres_triggers
from ._capture_state import capture_triggers, fence_triggers, naming
from ._errors import BadInput, CaptureError
from ._online_names import OnlineNames
from ._profile import Profile, profile_of
from ._sqlite_store import open_readonly, read_catalog
from ._sqlite_writer import begin_writing, open_writable
from ._tenant_stores import open_stores, tenant_tables

if t.TYPE_CHECKING:
    import sqlite3

Result = dict[str, t.Any]
PRESENT, ABSENT = "present", "absent"


def run(params: t.Mapping[str, t.Any], check: bool) -> Result:
    """Install or remove capture, and return what the module returns.

    Args:
        params: The options of the module.
        check: Whether to change nothing.

    Raises:
        BadInput: There is no SQLite file to look at.
        CaptureError: A table cannot be captured, or there is none.
        CutoverError: A store cannot be opened, is locked, or refused.
    """
    profile = profile_of(params["source_id"], params["schema_prefix"], params["schema_name"])
    if not params["sqlite_path"] and (params["side"], params["state"]) != ("postgres", ABSENT):
        raise BadInput("No SQLite file was named", remedy="Give sqlite_path.")
    return _on_sqlite(params, profile, check) if params["side"] == "sqlite" else _on_postgres(params, profile, check)


class _Found(t.NamedTuple):
    """What a side holds, and what is to become of it."""

    capture: _capture_sqlite.Capture
    unsupported: dict[str, str]
    before: list[str]
    after: list[str]
    actions: list[str]

    def result(self) -> Result:
        return {
            "changed": bool(self.actions),
            "capture_id": self.capture.capture_id,
            "position": self.capture.position,
            "tables": {name: list(key) for name, key in self.capture.tables.items()},
            "unsupported": [{"table": name, "reason": reason} for name, reason in self.unsupported.items()],
            "actions": self.actions,
            "diff": {"before": _lines(self.before), "after": _lines(self.after)},
        }


def _lines(names: t.Iterable[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def _refuse(params: t.Mapping[str, t.Any], profile: Profile, unsupported: t.Mapping[str, str]) -> None:
    if unsupported and params["fail_on_unsupported"]:
        raise CaptureError(
            f"Changes of profile {profile.source_id!r} cannot be captured in every table",
            "; ".join(f"table {name}: {reason}" for name, reason in unsupported.items()),
            "Nothing was installed. Leave these tables out (exclude_tables), give them a primary key, or cut over"
            " offline.",
            unsupported=[{"table": name, "reason": reason} for name, reason in unsupported.items()],
        )


def _on_sqlite(params: t.Mapping[str, t.Any], profile: Profile, check: bool) -> Result:
    # Looked at without a lock first: where nothing is to be done, nobody has to wait.
    with contextlib.closing(open_readonly(params["sqlite_path"], params["busy_timeout"])) as connection:
        connection.execute("BEGIN")
        found = _look_at_sqlite(connection, params, profile)
    if params["state"] == PRESENT:
        _refuse(params, profile, found.unsupported)
    if check or not found.actions:
        return found.result()
    names = OnlineNames(profile.schema_name)
    with contextlib.closing(open_writable(params["sqlite_path"], round(params["busy_timeout"] * 1000))) as connection:
        begin_writing(connection)
        found = _look_at_sqlite(connection, params, profile)
        if params["state"] == PRESENT:
            _refuse(params, profile, found.unsupported)
            catalog = read_catalog(connection)
            subject = (catalog, tenant_tables(catalog, params), names, *_owner(params, profile))
            _capture_sqlite.install(connection, *subject)
            found = found._replace(capture=_capture_sqlite.look(connection, *subject))
        else:
            _capture_sqlite.remove(connection, names)
        with naming(connection, "committing what was changed about capture"):
            connection.execute("COMMIT")
    return found.result()


def _owner(params: t.Mapping[str, t.Any], profile: Profile) -> tuple[str, str | None]:
    return profile.source_id, params["tenant_column"] or None


def _look_at_sqlite(connection: sqlite3.Connection, params: t.Mapping[str, t.Any], profile: Profile) -> _Found:
    names = OnlineNames(profile.schema_name)
    catalog = read_catalog(connection)
    tables = tenant_tables(catalog, params)
    source_id, tenant_column = _owner(params, profile)
    with naming(connection, "looking at capture"):
        before = sorted(capture_triggers(connection, names))
        fenced = bool(fence_triggers(connection, names))
    found = _capture_sqlite.look(connection, catalog, tables, names, source_id, tenant_column)
    if params["state"] == ABSENT:
        there = found.capture_id is not None or bool(before)
        actions = [f"capture removed with the {found.position} changes of its log"] if there else []
        if there and fenced:
            actions.append("fence left in place")
        nothing = _capture_sqlite.Capture(None, False, (), 0, {})
        return _Found(nothing, {}, before, [], actions)
    unsupported = _capture_sqlite.unsupported(catalog, tables, tenant_column)
    if not tables:
        raise CaptureError(
            f"There is nothing to capture of profile {source_id!r}", "no table of the SQLite file belongs to a profile"
        )
    if unsupported or found.complete:
        return _Found(found, unsupported, before, before, [])
    owner = _capture_statements.Owner(names, source_id, tenant_column)
    chosen = [table for table in catalog.tables if table.name in tables]
    after = sorted(name for table in chosen for name in _capture_statements.capture_triggers(table, owner))
    actions = [f"capture installed on {', '.join(tables)}"]
    if found.capture_id:
        actions.insert(0, f"capture {found.capture_id} removed, since it is not complete: {'; '.join(found.missing)}")
    planned = _capture_sqlite.Capture(found.capture_id, False, (), found.position, {c.name: c.key for c in chosen})
    return _Found(planned, {}, before, after, actions)


def _on_postgres(params: t.Mapping[str, t.Any], profile: Profile, check: bool) -> Result:
    names = OnlineNames(profile.schema_name)
    lock_timeout_ms = round(params["busy_timeout"] * 1000)
    if params["state"] == ABSENT:
        with contextlib.closing(_postgres_store.connect(params)) as connection:
            there = _postgres_triggers.standing(connection, names.capture_function)
            actions = []
            if there is not None:
                actions.append("capture removed")
                if not check:
                    _capture_postgres.remove(connection, names, lock_timeout_ms)
            entries = _capture_postgres.clear(connection, names, check)
            if entries:
                actions.append(f"{entries} changes removed from the log")
            connection.commit()
        return _Found(_capture_sqlite.Capture(None, False, (), 0, {}), {}, there or [], [], actions).result()
    with open_stores(params) as stores:
        stores.plan.refuse()
        connection = stores.connection
        unsupported = _capture_postgres.unsupported(stores.plan)
        _refuse(params, profile, unsupported)
        missing = _capture_postgres.look(connection, stores.plan, names)
        before = _postgres_triggers.standing(connection, names.capture_function) or []
        tables = {} if unsupported else _capture_postgres.keys(stores.plan)
        actions, after = [], before
        if missing != () and not unsupported:
            actions = [f"capture installed on {', '.join(tables)}"]
            if missing:
                actions.insert(0, f"capture removed, since it is not complete: {'; '.join(missing)}")
            after = _capture_postgres.trigger_names(stores.plan)
            if not check:
                _capture_postgres.install(connection, stores.plan, names, lock_timeout_ms)
        position = _capture_postgres.position(connection, names)
        connection.commit()
    capture = _capture_sqlite.Capture(None, not missing, missing or (), position, tables)
    return _Found(capture, unsupported, before, after, actions).result()
