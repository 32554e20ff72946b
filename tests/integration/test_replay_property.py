# SPDX-License-Identifier: GPL-3.0-or-later
"""Any rows of any kind, changed anyhow on either side: after a replay both stores hold the same, there and back.

What nobody touched keeps its octets in SQLite, in whichever spelling it is; doing a replay again changes nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from _databases import fresh_database
from _replays import Online, back, forward
from _servers import Server
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _catch_up
from ansible_collections.sxops.pg_cutover.plugins.module_utils._parity import compare_table
from ansible_collections.sxops.pg_cutover.plugins.module_utils._policies import CONVERTIBLE
from ansible_collections.sxops.pg_cutover.plugins.module_utils._tenant_stores import Stores
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import PASSED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PROPERTY = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=5)
BIG = st.integers(-(2**63), 2**63 - 1)
INT4 = st.integers(-(2**31), 2**31 - 1)
FLOAT = st.floats(allow_nan=False)
REAL = st.floats(allow_nan=False, width=32)
DECIMAL = st.decimals(-99999, 99999, places=3).map(str)
JSON = st.recursive(
    st.none() | st.booleans() | INT4 | TEXT,
    lambda one: st.lists(one, max_size=2) | st.dictionaries(TEXT, one, max_size=2),
)
DAY = st.dates().map(str)
CLOCK = st.times()
MOMENT = st.datetimes()
OCTETS = st.binary(max_size=4)
UUID = st.uuids()


Session = tuple[Online, Stores, sqlite3.Connection]


def spelt(moment: Any, how: int) -> Any:
    naive = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return [
        moment.isoformat() + "Z",
        moment.isoformat(" "),
        moment.isoformat(" ", "microseconds") + "+00:00",
        naive.isoformat("T", "milliseconds") + "Z",
        moment.replace(microsecond=0).isoformat(" ") + "+00",
        (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(seconds=1) % 10**10,
        moment.date().isoformat(),
        moment.isoformat("T", "seconds") + "-07:00",
    ][how % 8]


# By column: the type in PostgreSQL, what SQLite may hold, what PostgreSQL may be set to.
COLUMNS: dict[str, tuple[str, st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    "i": ("int", INT4 | INT4.map(str), INT4),
    "b": ("bigint", BIG, BIG),
    "s": ("text", TEXT | INT4, TEXT | INT4.map(str)),
    "l": ("text", st.sampled_from(["x" * 1024, "é" * 700, '"' * 1025]), st.sampled_from(["y" * 1024, "z" * 5000])),
    "f": ("double precision", FLOAT, FLOAT),
    "r": ("real", REAL, REAL),
    "n": ("numeric", INT4 | DECIMAL.map(float) | DECIMAL, DECIMAL | BIG.map(str)),
    "o": ("boolean", st.sampled_from([0, 1, "t", "False", "YES", "off"]), st.booleans()),
    "y": ("bytea", OCTETS | OCTETS.map(lambda one: "\\x" + one.hex()) | TEXT, OCTETS),
    "d": ("date", DAY, DAY),
    "c": ("time", CLOCK.map(str) | CLOCK.map(lambda one: one.isoformat("minutes")), CLOCK.map(str)),
    "z": ("timestamptz", st.builds(spelt, MOMENT, st.integers(0, 7)), MOMENT.map(lambda one: f"{one}+00")),
    "u": ("uuid", UUID.map(str) | UUID.map(lambda one: one.hex.upper()) | UUID.map(lambda u: u.bytes), UUID.map(str)),
    "j": ("jsonb", JSON.map(json.dumps), JSON.map(json.dumps)),
    "k": ("json", JSON.map(lambda one: json.dumps(one, indent=1)), JSON.map(json.dumps)),
}  # fmt: skip
IDS = st.integers(1, 6)
HERE = {name: st.none() | here for name, (_type, here, _there) in COLUMNS.items()}
THERE = {name: st.none() | there for name, (_type, _here, there) in COLUMNS.items()}


def changes(values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[list[Any]]:
    """Deletions, whole rows, single values, and rows that get another key."""
    one = st.sampled_from(sorted(values)).flatmap(lambda name: st.tuples(st.just(name), values[name]))
    return st.lists(
        st.tuples(st.just("delete"), IDS)
        | st.tuples(st.just("insert"), IDS, st.fixed_dictionaries(values))
        | st.tuples(st.just("update"), IDS, one)
        | st.tuples(st.just("rename"), IDS, IDS),
        max_size=5,
    )


@pytest.fixture(scope="module")
def session(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with fresh_database(server, "replay_property") as database:
        path = tmp_path_factory.mktemp("property") / "live.db"
        made = Online(database, path, options={"policies": dict.fromkeys(CONVERTIBLE, "convert")})
        made.sqlite(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(COLUMNS)})")
        types = ", ".join(f"{name} {declared}" for name, (declared, _here, _there) in COLUMNS.items())
        made.create_schema(f"CREATE TABLE t (id int PRIMARY KEY, {types})")
        made.begin()
        with made.stores() as stores, contextlib.closing(made.writer()) as target:
            yield made, stores, target


def change_here(online: Online, wanted: list[Any]) -> None:
    with contextlib.closing(sqlite3.connect(online.sqlite_path, isolation_level=None)) as connection:
        for what, key, *more in wanted:
            if what == "delete":
                connection.execute("DELETE FROM t WHERE id = ?", (key,))
            elif what == "insert":
                marks = ", ".join("?" * (len(COLUMNS) + 1))
                connection.execute(f"INSERT OR REPLACE INTO t VALUES ({marks})", (key, *(more[0][n] for n in COLUMNS)))
            elif what == "update":
                name, value = more[0]
                connection.execute(f"UPDATE t SET {name} = ? WHERE id = ?", (value, key))
            else:
                connection.execute("UPDATE OR IGNORE t SET id = ? WHERE id = ?", (more[0], key))


def change_there(stores: Stores, wanted: list[Any]) -> set[tuple[int, str]]:
    """Return which values were touched."""
    touched: set[tuple[int, str]] = set()
    with stores.connection.cursor() as cursor:
        cursor.execute("SET LOCAL search_path TO sx_a")
        for what, key, *more in wanted:
            if what == "delete":
                cursor.execute("DELETE FROM t WHERE id = %s", (key,))
                touched |= {(key, name) for name in COLUMNS}
            elif what == "insert":
                touched |= {(key, name) for name in COLUMNS}
                cursor.execute("DELETE FROM t WHERE id = %s", (key,))
                marks = ", ".join(["%s"] * (len(COLUMNS) + 1))
                cursor.execute(f"INSERT INTO t VALUES ({marks})", (key, *(more[0][n] for n in COLUMNS)))
            elif what == "update":
                name, value = more[0]
                touched.add((key, name))
                cursor.execute(f"UPDATE t SET {name} = %s WHERE id = %s", (value, key))
            else:
                touched |= {(number, name) for number in (key, more[0]) for name in COLUMNS}
                cursor.execute(
                    "UPDATE t SET id = %s WHERE id = %s AND NOT EXISTS (SELECT FROM t WHERE id = %s)",
                    (more[0], key, more[0]),
                )
    stores.connection.commit()
    return touched


def octets(online: Online) -> dict[tuple[int, str], Any]:
    with contextlib.closing(sqlite3.connect(online.sqlite_path)) as connection:
        connection.text_factory = bytes
        found = {}
        for name in COLUMNS:
            for key, storage, value in connection.execute(f"SELECT id, typeof({name}), {name} FROM t"):
                found[key, name] = storage, value
        return found


def same(stores: Stores) -> bool:
    _catch_up.read_again(stores)
    stores.connection.rollback()
    (plan,) = stores.plan.tables
    verdict = compare_table(stores.source, stores.connection, plan, "sx_a", "a").verdict
    stores.connection.rollback()
    _catch_up.stop_reading(stores)
    return verdict == PASSED


@PROPERTY
@given(first=changes(HERE), second=changes(THERE), third=changes(HERE))
def test_there_and_back(session: Session, first: list[Any], second: list[Any], third: list[Any]) -> None:
    online, stores, target = session
    change_here(online, [*(("delete", key) for key in range(1, 7)), *first, ("insert", 6, dict.fromkeys(COLUMNS))])
    forward(online, stores)
    assert same(stores)
    before = octets(online)
    touched = change_there(stores, second)
    back(online, stores, target)
    assert same(stores)
    after = octets(online)
    assert {place: value for place, value in before.items() if place not in touched} == {
        place: value for place, value in after.items() if place not in touched
    }
    assert back(online, stores, target).tables == {}
    change_here(online, third)
    forward(online, stores)
    assert same(stores)
    online.database.run("UPDATE sxops_cutover.tenant SET position = 0")
    assert forward(online, stores).tables == {}
