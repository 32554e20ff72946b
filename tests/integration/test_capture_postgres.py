# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture and fence in PostgreSQL: every change is logged, nobody but us gets past, and no trace is left."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from _databases import Database, Tenant, fresh_database
from _servers import Server, require_debian_binaries
from ansible_collections.sxops.pg_cutover.plugins.module_utils import (
    _capture_postgres,
    _fence_postgres,
    _online_journal,
)
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import CaptureError, PostgresError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._online_names import OnlineNames
from ansible_collections.sxops.pg_cutover.plugins.module_utils._table_plan import Plan
from local_stack.binaries import postgres_bin_dir
from psycopg2.extensions import connection as Connection

NAMES = OnlineNames("sx_a")
OWNER, STRANGER = "capture_owner", "capture_stranger"
FENCED = "55006"

SQLITE = (
    "CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT)",
    "CREATE TABLE children (parent INT, place TEXT, body TEXT, PRIMARY KEY (parent, place))",
    'CREATE TABLE "Sel""ect ü" ("Group" TEXT, "order" BOOLEAN, x TEXT, PRIMARY KEY ("Group", "order"))',
    "CREATE TABLE times (at TEXT PRIMARY KEY, x TEXT)",
    "CREATE TABLE octets (o BLOB PRIMARY KEY, f REAL)",
)
POSTGRES = """
CREATE TABLE parents (id bigint PRIMARY KEY, name text);
CREATE TABLE children (parent int REFERENCES parents (id) ON DELETE CASCADE ON UPDATE CASCADE,
                       place character(5), body text, PRIMARY KEY (parent, place));
CREATE TABLE "Sel""ect ü" ("Group" text, "order" boolean, x text, PRIMARY KEY ("Group", "order"));
CREATE TABLE times (at timestamptz PRIMARY KEY, x text);
CREATE TABLE octets (o bytea PRIMARY KEY, f double precision);
"""


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    with fresh_database(server, "capture") as found:
        found.run(
            f"DROP ROLE IF EXISTS {OWNER}; DROP ROLE IF EXISTS {STRANGER};"
            f"CREATE ROLE {OWNER} LOGIN PASSWORD 'tables'; CREATE ROLE {STRANGER} LOGIN PASSWORD 'tables'"
        )
        yield found
        found.run(f"DROP OWNED BY {OWNER}, {STRANGER} CASCADE; DROP ROLE {OWNER}; DROP ROLE {STRANGER}")


@pytest.fixture
def tenant(database: Database, tmp_path: Path) -> Tenant:
    """A profile whose application owns its tables."""
    found = Tenant(database, tmp_path / "sx.db")
    found.sqlite(*SQLITE)
    database.run("DROP SCHEMA IF EXISTS sxops_cutover CASCADE; DROP SCHEMA IF EXISTS sx_a CASCADE")
    database.run(f"CREATE SCHEMA sx_a AUTHORIZATION {OWNER}")
    as_role(database, OWNER, POSTGRES)
    return found


def as_role(database: Database, role: str, statements: str) -> list[tuple[object, ...]]:
    """Run statements as a role that logs in, with the tenant schema first on its search path."""
    dsn = re.sub(r"//[^@]*@", f"//{role}:tables@", database.dsn)
    return Database(dsn).run(f"SET search_path TO sx_a, public; {statements}")


@pytest.fixture
def plan(tenant: Tenant) -> Plan:
    with tenant.stores() as stores:
        stores.plan.refuse()
        return stores.plan


@pytest.fixture
def connection(tenant: Tenant) -> Iterator[Connection]:
    with contextlib.closing(psycopg2.connect(tenant.database.dsn)) as found:
        yield found


@pytest.fixture
def captured(connection: Connection, plan: Plan) -> Connection:
    """A connection over a schema that is captured."""
    assert _capture_postgres.install(connection, plan, NAMES) is True
    connection.commit()
    return connection


@pytest.fixture
def fenced(connection: Connection, plan: Plan) -> Connection:
    """A connection over a schema that is fenced."""
    assert _fence_postgres.put_up(connection, plan, NAMES) is True
    connection.commit()
    return connection


def log(database: Database) -> list[tuple[str, list[str]]]:
    """Return what has been logged, and forget it."""
    rows = database.run("SELECT table_name, row_key FROM sxops_cutover.change WHERE schema_name = 'sx_a' ORDER BY seq")
    database.run("DELETE FROM sxops_cutover.change")
    return [(str(table), list(key)) for table, key in rows]


def dump(server: Server, database: Database) -> str:
    """Return what pg_dump says of the tenant schema."""
    folder = postgres_bin_dir() if server.name == "embedded" else require_debian_binaries()
    done = subprocess.run(
        [folder / "pg_dump", "--schema-only", "--schema=sx_a", database.dsn], capture_output=True, text=True, check=True
    )
    return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


CHANGES = {
    "insert": ("INSERT INTO parents VALUES (3, 'c')", [("parents", ["3"])]),
    "update": ("UPDATE parents SET name = 'x'", [("parents", ["1"]), ("parents", ["2"])]),
    "delete": ("DELETE FROM parents WHERE id = 2", [("parents", ["2"])]),
    "upsert": (
        "INSERT INTO parents VALUES (2, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        [("parents", ["2"])],
    ),
    "a change of the key": ("UPDATE parents SET id = 9 WHERE id = 2", [("parents", ["2"]), ("parents", ["9"])]),
    "TRUNCATE": ("TRUNCATE times", [("times", ["2026-03-01 11:00:00+00"])]),
    "COPY": ("COPY parents FROM PROGRAM 'printf \"7\\tx\\n8\\ty\\n\"'", [("parents", ["7"]), ("parents", ["8"])]),
    "a cascade": (
        "DELETE FROM parents WHERE id = 1",
        [("parents", ["1"]), ("children", ["1", "a"]), ("children", ["1", "b"])],
    ),
    "a cascade of a changed key": (
        "UPDATE parents SET id = 5 WHERE id = 1",
        [
            ("parents", ["1"]),
            ("parents", ["5"]),
            ("children", ["1", "a"]),
            ("children", ["5", "a"]),
            ("children", ["1", "b"]),
            ("children", ["5", "b"]),
        ],
    ),
    "strange names": (
        """INSERT INTO "Sel""ect ü" VALUES ('É', true, 'x'), ('', false, NULL)""",
        [('Sel"ect ü', ["É", "true"]), ('Sel"ect ü', ["", "false"])],
    ),
    "a time in another zone": (
        "SET timezone TO 'Asia/Kathmandu'; SET datestyle TO 'German'; UPDATE times SET x = 'y'",
        [("times", ["2026-03-01 11:00:00+00"])],
    ),
    "octets": ("SET bytea_output TO escape; INSERT INTO octets VALUES ('\\x00ff', 1)", [("octets", ["\\x00ff"])]),
    "nothing": ("UPDATE parents SET name = 'x' WHERE id = 77", []),
}


def fill(tenant: Tenant) -> None:
    tenant.postgres(
        "INSERT INTO parents VALUES (1, 'a'), (2, 'b'); INSERT INTO children VALUES (1, 'a'), (1, 'b');"
        "INSERT INTO times VALUES ('2026-03-01 12:00:00+01', 'x')"
    )


@pytest.mark.parametrize("change", list(CHANGES))
def test_every_change_is_logged_by_its_key(tenant: Tenant, captured: Connection, change: str) -> None:
    statement, expected = CHANGES[change]
    fill(tenant)
    log(tenant.database)
    tenant.postgres(statement)
    assert log(tenant.database) == expected


def test_the_key_is_what_a_cast_to_text_gives(tenant: Tenant, captured: Connection) -> None:
    fill(tenant)
    tenant.postgres("""INSERT INTO octets VALUES ('\\x61'), (''); INSERT INTO "Sel""ect ü" VALUES ('x', true)""")
    casts = tenant.postgres(
        "SELECT ARRAY[id::text] FROM parents UNION ALL SELECT ARRAY[parent::text, place::text] FROM children"
        " UNION ALL SELECT ARRAY[o::text] FROM octets"
        """ UNION ALL SELECT ARRAY["Group"::text, "order"::text] FROM "Sel""ect ü" """
    )
    logged = [key for table, key in log(tenant.database) if table != "times"]
    assert sorted(logged) == sorted(key for (key,) in casts)


def test_a_transaction_that_is_rolled_back_leaves_no_entry(tenant: Tenant, captured: Connection) -> None:
    with contextlib.closing(psycopg2.connect(tenant.database.dsn)) as application:
        application.cursor().execute("INSERT INTO sx_a.parents VALUES (1, 'a')")
        application.rollback()
    assert log(tenant.database) == []


def test_the_application_that_owns_its_tables_reaches_nothing_of_ours(tenant: Tenant, captured: Connection) -> None:
    as_role(tenant.database, OWNER, "INSERT INTO parents VALUES (1, 'a')")
    for statement in (
        "SELECT * FROM sxops_cutover.change",
        "DELETE FROM sxops_cutover.change",
        "INSERT INTO sxops_cutover.passing VALUES ('sx_a')",
        "SELECT sxops_cutover.capture_sx_a()",
        "CREATE TRIGGER x AFTER INSERT ON times FOR EACH ROW EXECUTE FUNCTION sxops_cutover.capture_sx_a('parents')",
    ):
        with pytest.raises(psycopg2.Error, match="permission denied"):
            as_role(tenant.database, OWNER, statement)
    assert log(tenant.database) == [("parents", ["1"])]


def test_what_the_application_made_never_runs_as_our_role(tenant: Tenant, captured: Connection) -> None:
    # Functions, operators, relations and casts of the application's own, all of which would tell on whoever runs them.
    as_role(
        tenant.database,
        OWNER,
        "CREATE TABLE ran (by text); GRANT INSERT ON ran TO PUBLIC;"
        "CREATE FUNCTION note(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
        "  IF current_user <> 'capture_owner' THEN INSERT INTO sx_a.ran VALUES (current_user || ' ' || $1); END IF;"
        "  RETURN $1; END $$;"
        "CREATE FUNCTION format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS $$ SELECT sx_a.note('format') $$;"
        "CREATE FUNCTION format(text, bigint) RETURNS text LANGUAGE sql AS $$ SELECT sx_a.note('format') $$;"
        "CREATE FUNCTION rtrim(text, text) RETURNS text LANGUAGE sql AS $$ SELECT sx_a.note('rtrim') $$;"
        "CREATE FUNCTION same(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT sx_a.note('=') IS NOT NULL $$;"
        "CREATE OPERATOR = (LEFTARG = text, RIGHTARG = text, FUNCTION = same);"
        "CREATE TABLE passing (schema_name text); INSERT INTO passing VALUES ('sx_a');"
        "CREATE TYPE evil AS ENUM ('1', '2');"
        "CREATE FUNCTION evil_text(evil) RETURNS text LANGUAGE sql AS $$ SELECT sx_a.note('cast') $$;"
        "CREATE CAST (evil AS text) WITH FUNCTION evil_text(evil) AS IMPLICIT;"
        "ALTER TABLE children DROP CONSTRAINT children_parent_fkey;"
        "ALTER TABLE parents ALTER COLUMN id TYPE evil USING id::text::evil",
    )
    as_role(tenant.database, OWNER, "SET search_path TO sx_a, pg_catalog; INSERT INTO parents VALUES ('1', 'a')")
    as_role(tenant.database, OWNER, "SET search_path TO sx_a, pg_catalog; UPDATE parents SET id = '2'")
    as_role(tenant.database, OWNER, "SET search_path TO sx_a, pg_catalog; INSERT INTO children VALUES (4, 'x')")
    assert log(tenant.database) == [
        ("parents", ["1"]),
        ("parents", ["1"]),
        ("parents", ["2"]),
        ("children", ["4", "x"]),
    ]
    assert as_role(tenant.database, OWNER, "SELECT * FROM ran") == []


def test_a_role_that_is_no_member_of_the_owner_is_told_so(tenant: Tenant, plan: Plan) -> None:
    tenant.database.run(f"GRANT CREATE ON DATABASE capture TO {STRANGER}")
    dsn = re.sub(r"//[^@]*@", f"//{STRANGER}:tables@", tenant.database.dsn)
    with contextlib.closing(psycopg2.connect(dsn)) as stranger:
        for act in (_capture_postgres.install, _fence_postgres.put_up):
            with pytest.raises(PostgresError, match=f"table children belongs to {OWNER}") as found:
                act(stranger, plan, NAMES)
            stranger.rollback()
            assert f'GRANT "{OWNER}" TO "{STRANGER}"' in found.value.remedy
        tenant.database.run(f"GRANT {OWNER} TO {STRANGER}")
        assert _capture_postgres.install(stranger, plan, NAMES)
        assert _fence_postgres.put_up(stranger, plan, NAMES)
        assert _fence_postgres.lift(stranger, NAMES)
        stranger.commit()
        as_role(tenant.database, OWNER, "INSERT INTO parents VALUES (1, 'a')")
        assert log(tenant.database) == [("parents", ["1"])]
        assert _capture_postgres.remove(stranger, NAMES)
        stranger.commit()
    tenant.database.run(f"REVOKE {OWNER} FROM {STRANGER}; DROP SCHEMA sxops_cutover CASCADE")


def test_a_table_without_a_key_is_refused_by_name(tenant: Tenant, connection: Connection) -> None:
    tenant.sqlite("CREATE TABLE events (what TEXT)")
    tenant.postgres("CREATE TABLE events (what text)")
    with tenant.stores() as stores, pytest.raises(CaptureError, match="table events: it has no key"):
        _capture_postgres.install(connection, stores.plan, NAMES)
    with tenant.stores() as stores:
        assert list(_capture_postgres.unsupported(stores.plan)) == ["events"]


def test_a_second_run_changes_nothing_and_removal_leaves_no_trace(
    server: Server, tenant: Tenant, connection: Connection, plan: Plan
) -> None:
    before = dump(server, tenant.database)
    assert _capture_postgres.look(connection, plan, NAMES) is None
    assert _fence_postgres.state(connection, plan, NAMES) == "down"
    assert _capture_postgres.install(connection, plan, NAMES) is True
    assert _capture_postgres.install(connection, plan, NAMES) is False
    assert _fence_postgres.put_up(connection, plan, NAMES) is True
    assert _fence_postgres.put_up(connection, plan, NAMES) is False
    connection.commit()
    assert _capture_postgres.look(connection, plan, NAMES) == ()
    assert _fence_postgres.state(connection, plan, NAMES) == "up"
    captured = dump(server, tenant.database)
    assert captured != before
    assert "sxops_capture" in captured
    assert _capture_postgres.remove(connection, NAMES) is True
    assert _capture_postgres.remove(connection, NAMES) is False
    assert _fence_postgres.lift(connection, NAMES) is True
    assert _fence_postgres.lift(connection, NAMES) is False
    connection.commit()
    assert dump(server, tenant.database) == before


FOUND = {
    "a trigger is dropped": (
        "DROP TRIGGER sxops_capture ON parents",
        "trigger sxops_capture of table parents is missing",
    ),
    "a trigger is disabled": (
        "ALTER TABLE parents DISABLE TRIGGER sxops_capture",
        "trigger sxops_capture of table parents is disabled",
    ),
    "a trigger fires for less": (
        """DROP TRIGGER sxops_capture ON parents;
        CREATE TRIGGER sxops_capture AFTER INSERT ON parents FOR EACH ROW
          EXECUTE FUNCTION sxops_cutover.capture_sx_a('parents')""",
        "trigger sxops_capture of table parents was changed",
    ),
    "the function is another one": (
        """CREATE OR REPLACE FUNCTION sxops_cutover.capture_sx_a() RETURNS trigger LANGUAGE plpgsql
          AS 'BEGIN RETURN NULL; END'""",
        "function sxops_cutover.capture_sx_a was changed",
    ),
    "a table is made anew": (
        "CREATE TABLE copy (LIKE times INCLUDING ALL); DROP TABLE times; ALTER TABLE copy RENAME TO times",
        "trigger sxops_capture of table times is missing",
    ),
    "a table is added": ("CREATE TABLE more (id int PRIMARY KEY)", "table more is not captured: it was added"),
    "a column is added": ("ALTER TABLE times ADD y text", "table times was changed: column y added"),
    "a column is dropped": ("ALTER TABLE times DROP x", "table times was changed: column x dropped"),
    "a column is of another type": (
        "ALTER TABLE times ALTER x TYPE varchar(9)",
        "table times was changed: column x is character varying(9) and was text",
    ),
}


@pytest.mark.parametrize("change", list(FOUND))
def test_what_makes_the_log_incomplete_is_found_by_name(
    tenant: Tenant, captured: Connection, plan: Plan, change: str
) -> None:
    statement, named = FOUND[change]
    tenant.postgres(statement)
    found = _capture_postgres.look(captured, plan, NAMES)
    assert found is not None
    assert named in found


def test_our_own_writes_pass_and_nobody_else_does(tenant: Tenant, fenced: Connection, plan: Plan) -> None:
    _capture_postgres.install(fenced, plan, NAMES)
    fenced.commit()
    with _fence_postgres.passing(fenced, NAMES):
        with fenced.cursor() as cursor:
            cursor.execute("INSERT INTO sx_a.parents VALUES (1, 'a'), (2, 'b')")
            cursor.execute("UPDATE sx_a.parents SET name = 'x' WHERE id = 1")
            cursor.execute("DELETE FROM sx_a.parents WHERE id = 2")
            cursor.execute("TRUNCATE sx_a.times")
        assert tenant.database.run("SELECT count(*) FROM sxops_cutover.passing") == [(0,)]
    fenced.commit()
    assert tenant.postgres("SELECT * FROM parents") == [(1, "x")]
    assert log(tenant.database) == []
    assert tenant.database.run("SELECT count(*) FROM sxops_cutover.passing") == [(0,)]
    assert refused(lambda: as_role(tenant.database, OWNER, "DELETE FROM parents"))


def refused(act: Callable[[], object]) -> bool:
    with pytest.raises(psycopg2.Error, match="schema sx_a is fenced: its profile is served from SQLite") as found:
        act()
    return found.value.pgcode == FENCED


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO parents VALUES (3, 'c')",
        "INSERT INTO parents VALUES (1, 'c') ON CONFLICT DO NOTHING",
        "INSERT INTO parents VALUES (1, 'c') ON CONFLICT (id) DO UPDATE SET name = 'x'",
        "UPDATE parents SET name = 'x'",
        "DELETE FROM parents",
        "TRUNCATE times",
        "TRUNCATE parents CASCADE",
    ],
)
def test_writes_are_refused_and_reads_go_on(tenant: Tenant, connection: Connection, plan: Plan, statement: str) -> None:
    fill(tenant)
    _fence_postgres.put_up(connection, plan, NAMES)
    connection.commit()
    assert refused(lambda: as_role(tenant.database, OWNER, statement))
    assert as_role(tenant.database, OWNER, "SELECT count(*) FROM parents") == [(2,)]
    as_role(tenant.database, OWNER, "UPDATE parents SET name = 'x' WHERE id = 77")
    _fence_postgres.lift(connection, NAMES)
    connection.commit()
    as_role(tenant.database, OWNER, statement)


def test_a_failure_while_passing_is_the_error_that_is_seen(tenant: Tenant, fenced: Connection) -> None:
    with pytest.raises(psycopg2.Error, match="does_not_exist"), _fence_postgres.passing(fenced, NAMES):
        fenced.cursor().execute("SELECT * FROM does_not_exist")
    fenced.rollback()
    with pytest.raises(ValueError, match="ours"), _fence_postgres.passing(fenced, NAMES):
        raise ValueError("ours")
    fenced.commit()
    assert tenant.database.run("SELECT count(*) FROM sxops_cutover.passing") == [(0,)]


def test_a_fence_with_a_hole_is_not_up(tenant: Tenant, fenced: Connection, plan: Plan) -> None:
    def state() -> str:
        fenced.rollback()
        return _fence_postgres.state(fenced, plan, NAMES)

    assert state() == "up"
    tenant.database.run("INSERT INTO sxops_cutover.passing VALUES ('sx_a')")
    assert state() == "partial"
    tenant.database.run("DELETE FROM sxops_cutover.passing")
    tenant.postgres("ALTER TABLE parents DISABLE TRIGGER sxops_fence")
    assert state() == "partial"
    tenant.postgres("ALTER TABLE parents ENABLE TRIGGER sxops_fence; DROP TRIGGER sxops_fence_truncate ON times")
    assert state() == "partial"
    assert _fence_postgres.put_up(fenced, plan, NAMES) is True
    fenced.commit()
    assert state() == "up"


def test_a_writer_that_does_not_end_is_not_waited_for_forever(
    tenant: Tenant, connection: Connection, plan: Plan
) -> None:
    _online_journal.install(connection)
    connection.commit()
    with contextlib.closing(psycopg2.connect(tenant.database.dsn)) as application:
        application.cursor().execute("INSERT INTO sx_a.parents VALUES (1, 'a')")
        for act in (_capture_postgres.install, _fence_postgres.put_up):
            with pytest.raises(PostgresError, match="did not end within 50 ms") as found:
                act(connection, plan, NAMES, 50)
            assert found.value.facts["sqlstate"] == "55P03"
            connection.rollback()
        application.commit()
    assert _capture_postgres.install(connection, plan, NAMES, 50)
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)
    connection.rollback()


def test_partitions_are_logged_under_the_table_they_belong_to(tenant: Tenant, connection: Connection) -> None:
    tenant.sqlite("CREATE TABLE parts (id INTEGER PRIMARY KEY, x TEXT)")
    tenant.postgres(
        "CREATE TABLE parts (id bigint PRIMARY KEY, x text) PARTITION BY RANGE (id);"
        "CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (10) TO (20)"
    )
    with tenant.stores() as stores:
        _capture_postgres.install(connection, stores.plan, NAMES)
        connection.commit()
        assert _capture_postgres.look(connection, stores.plan, NAMES) == ()
    tenant.postgres("INSERT INTO parts VALUES (1, 'a'), (11, 'b'); UPDATE parts SET id = 12 WHERE id = 1")
    assert [key for _table, key in log(tenant.database)] == [["1"], ["11"], ["1"], ["12"]]
