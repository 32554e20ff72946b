# SPDX-License-Identifier: GPL-3.0-or-later
"""Smoke checks against a small real application over real SQLite files, well-behaved or deliberately not.

The application keeps its notes in one of two files; the second one stands in for the other store.
"""

from __future__ import annotations

import contextlib
import copy
import http.server
import json
import sqlite3
import stat
import threading
import types
import urllib.parse

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _smoke, _smoke_round_trip, _smoke_store
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput, CutoverError, PostgresError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._smoke_expectation import lookup, same
from ansible_collections.sxops.pg_cutover.plugins.module_utils._smoke_subject import bind, fill, names_in

ROWS = [
    ("a1", "i1", "first", 5, "2026-01-01"),
    ("a1", "i/2 ä", 'it\'s "two"\n\t\\ 😀', None, "free text"),
    ("a1", "i3", "", None, None),
    ("a2", "i1", "other", 1, "2026-01-02"),
    ("a2", "only2", "secret of a2", 1, "2026-01-02"),
]


class App(http.server.BaseHTTPRequestHandler):
    """GET /health and /notes/<id>; PUT /notes/<id>; which file and which habits is the server's to say."""

    def do_GET(self) -> None:
        source = self.headers.get("X-Source")
        if not source:
            return self.answer(400, {"detail": "Missing explicit source_id"})
        if self.path == "/health":
            return self.answer(200, {"ok": True, "backend": {"backend": self.server.backend}, "source": source})
        if self.path == "/echo":
            return self.answer(500, {"headers": dict(self.headers.items())})
        note = urllib.parse.unquote(self.path.removeprefix("/notes/"))
        with self.server.connect() as db:
            if "leak" in self.server.habits:
                row = db.execute("SELECT * FROM notes WHERE id = ?", (note,)).fetchone()
            else:
                row = db.execute("SELECT * FROM notes WHERE source = ? AND id = ?", (source, note)).fetchone()
        if row is None and not self.server.blank_when_missing:
            return self.answer(404, {"detail": "Not found"})
        text, stars = (row[2], row[3]) if row else (None, None)
        return self.answer(200, {"id": note, "meta": {"text": text, "stars": stars}})

    def do_PUT(self) -> None:
        note = urllib.parse.unquote(self.path.removeprefix("/notes/"))
        meta = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.writes.append(meta)
        habits, nth = self.server.habits, len(self.server.writes)
        if "die" in habits and nth > habits["die"]:
            self.connection.close()
            return None
        if nth in habits.get("refuse", ()):
            return self.answer(500, {"detail": "refused"})
        if "lose" in habits:
            return self.answer(200, {"ok": True})
        stars = 0 if "spoil" in habits and nth == 1 else meta["stars"]
        for path in [self.server.path, *habits.get("also", [])]:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute(
                    "INSERT INTO notes VALUES (?, ?, ?, ?, ?) ON CONFLICT (source, id) DO UPDATE SET"
                    " text = excluded.text, stars = excluded.stars, updated_at = excluded.updated_at",
                    (self.headers["X-Source"], note, meta["text"], stars, f"write {nth}"),
                )
        for path in habits.get("once_also", []) if nth == 1 else []:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.execute("UPDATE notes SET text = ? WHERE source = 'a1' AND id = ?", (meta["text"], note))
        return self.answer(200, {"ok": True})

    def answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("X-Backend", self.server.backend)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(("127.0.0.1", 0), App)
        self.path = path
        self.backend = "sqlite"
        self.habits: dict[str, object] = {}
        self.blank_when_missing = False
        self.writes: list[object] = []

    @contextlib.contextmanager
    def connect(self):
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            yield db


def make(path, rows=tuple(ROWS)) -> str:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(
            "CREATE TABLE notes (source TEXT, id TEXT, text TEXT, stars INTEGER, updated_at TEXT,"
            " PRIMARY KEY (source, id))"
        )
        db.executemany("INSERT INTO notes VALUES (?, ?, ?, ?, ?)", rows)
    return str(path)


def contents(path: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        query = "SELECT *, typeof(text), typeof(stars), typeof(updated_at) FROM notes ORDER BY source, id"
        return db.execute(query).fetchall()


class World:
    """The application, its file, the file that stands in for PostgreSQL, and calls of the verb."""

    def __init__(self, folder, server: Server) -> None:
        self.folder = folder
        self.server = server
        self.sqlite = server.path
        self.other = make(folder / "other.db")
        self.journal = folder / "state" / "smoke.json"
        self.before = contents(self.sqlite), contents(self.other)

    def params(self, checks, **options):
        spec = {
            "base_url": f"http://127.0.0.1:{self.server.server_address[1]}",
            "source_id": "a1",
            "headers": {"X-Source": "{source_id}"},
            "secret_headers": {},
            "timeout": 5,
            "validate_certs": True,
            "ca_path": None,
            "wait": False,
            "wait_timeout": 1,
            "wait_sleep": 0.05,
            "wait_path": "/health",
            "wait_status": [200],
            "expect_store": "sqlite",
            "sqlite_path": self.sqlite,
            "schema_name": "sx_a1",
            "dsn": self.other,
            "journal": str(self.journal),
            "fail_on_open": False,
            "subjects": [],
            "checks": [{"method": "GET", "expect_status": [200], **check} for check in checks],
        }
        return {**spec, **options}

    def smoke(self, *checks, check_mode=False, **options):
        params = self.params(copy.deepcopy(checks), **options)
        return _smoke.smoke(types.SimpleNamespace(params=params, check_mode=check_mode))

    def one(self, check, **options):
        result = self.smoke(check, **options)
        assert result["changed"] is False
        (only,) = result["checks"]
        assert result["verdict"] == only["verdict"]
        return only

    def untouched(self) -> bool:
        return (contents(self.sqlite), contents(self.other)) == self.before and not self.journal.exists()


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(_smoke_round_trip, "_LANDING_PAUSE_S", 0.01)
    real = _smoke_store.Stores._connect

    def connect(self, name):
        if name == "sqlite":
            return real(self, name)
        if self._params["dsn"] == "down":
            raise PostgresError("PostgreSQL cannot be reached")
        return _smoke_store.SqliteRows(self._params["dsn"])

    monkeypatch.setattr(_smoke_store.Stores, "_connect", connect)
    with Server(make(tmp_path / "app.db")) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield World(tmp_path, server)
        server.shutdown()


def trip(note="i1", **changes):
    return {
        "name": "round trip",
        "round_trip": {
            "read": {"path": f"/notes/{note}"},
            "write": {"method": "PUT", "path": f"/notes/{note}", "from_read": "meta"},
            "field": "text",
            "volatile": ["updated_at"],
            "lands_in": {"table": "notes", "column": "text", "where": {"source": "{source_id}", "id": note}},
            **changes,
        },
    }


# expectations


def test_backend_header_and_latency(world):
    check = world.one(
        {
            "name": "health",
            "path": "/health",
            "expect_json": {"backend.backend": "sqlite", "ok": True, "source": "{source_id}"},
            "expect_headers": {"x-backend": "sqlite"},
            "expect_text": '"ok": true',
            "expect_no_text": "postgres",
            "max_latency": 5000,
        }
    )
    assert check["verdict"] == "passed", check
    assert check["observed"]["backend.backend"] == "sqlite"


def test_wrong_backend_names_both(world):
    world.server.backend = "postgres_primary"
    check = world.one({"name": "backend", "path": "/health", "expect_json": {"backend.backend": "sqlite"}})
    assert check["verdict"] == "failed"
    assert check["expected"]["backend.backend"] == "sqlite"
    assert check["observed"]["backend.backend"] == "postgres_primary"
    assert "backend.backend is 'postgres_primary' instead of 'sqlite'" in check["message"]


@pytest.mark.parametrize(
    "unmet",
    [
        {"expect_status": [201]},
        {"expect_json": {"ok": 1}},
        {"expect_json": {"no.such": None}},
        {"expect_json_min": {"ok": 0}},
        {"expect_json_min": {"backend": 2}},
        {"expect_headers": {"X-None": "1"}},
        {"expect_text": "absent"},
        {"expect_no_text": "backend"},
        {"max_latency": 0},
    ],
)
def test_each_expectation_can_fail(world, unmet):
    assert world.one({"name": "health", "path": "/health", **unmet})["verdict"] == "failed"


def test_a_header_can_be_removed(world):
    refused = {"name": "missing source", "path": "/health", "headers": {"x-source": None}, "expect_status": [400]}
    assert world.one(refused)["verdict"] == "passed"


def test_no_answer_is_a_failed_check(world):
    check = world.one({"name": "gone", "path": "/health"}, base_url="http://127.0.0.1:9")
    assert check["verdict"] == "failed"
    assert "refused" in check["message"]


def test_credentials_are_masked(world):
    sent = {
        "headers": {"X-Source": "a1", "X-API-Key": "plainkey-1"},
        "secret_headers": {"Authorization": "Bearer tok-12345"},
    }
    text = json.dumps(world.smoke({"name": "echo", "path": "/echo"}, **sent))
    assert "x-api-key" in text.lower() and "plainkey-1" not in text and "tok-12345" not in text


def test_dotted_paths():
    document = {"items": [{"id": 1}, {"id": 2}], "a": {"b": None}}
    assert lookup(document, "items.1.id") == [2]
    assert lookup(document, "items.*.id") == [1, 2]
    assert lookup(document, "a.b") == [None]
    assert lookup(document, "items.7.id") == lookup(document, "a.x") == lookup(document, "a.b.c") == []
    assert lookup(document, "") == [document]
    assert not same(True, 1) and not same([1], [True]) and same({"a": [1, None]}, {"a": [1, None]})


# subjects and placeholders


def test_placeholders_keep_types_and_are_quoted_in_paths():
    rows = {"item": {"id": "i/2 ä?", "n": 7, "none": None}}
    assert fill("{item.n}", rows, None) == 7
    assert fill({"a": ["x{item.n}", {"{source_id}": None}]}, rows, "s") == {"a": ["x7", {"s": None}]}
    assert fill("/items/{item.id}?q={item.n}", rows, None, in_url=True) == "/items/i%2F2%20%C3%A4%3F?q=7"
    assert fill('{"a": {}} {x} {{item.n}}', rows, None) == '{"a": {}} {x} {7}'
    assert names_in({"a": ["{one.x}{two.y}"], "{three.z}": 1}) == {"one", "two", "three"}
    for bad in ("x{item.none}", "{item.absent}", "{source_id}"):
        with pytest.raises(BadInput):
            fill(bad, rows, None)


def test_parameters_are_bound_outside_quotes_only():
    query = (
        "SELECT ':source_id', \"a:b.c\", x::text -- :source_id\n"
        " FROM t WHERE a LIKE '%y' AND b = :source_id AND c=:one.id"
    )
    text, values = bind(query, {"one": {"id": 5}}, "s", mark="%s", percent="%%")
    assert values == ["s", 5]
    assert text.endswith("a LIKE '%%y' AND b = %s AND c=%s") and "':source_id'" in text and "x::text" in text
    for bad in (":unknown", ":two.id", ":one.absent"):
        with pytest.raises(BadInput):
            bind(f"SELECT {bad}", {"one": {"id": 5}}, "s", mark="?")


def test_subjects_fill_checks(world):
    subjects = [
        {
            "name": "odd",
            "store": "sqlite",
            "query": "SELECT id, text FROM notes WHERE source = :source_id AND id LIKE 'i/%'",
        },
        {"name": "same", "store": "postgres", "query": "SELECT text AS there FROM notes WHERE id = :odd.id"},
        {"name": "total", "store": "sqlite", "query": "SELECT count(*) AS n FROM notes WHERE source = :source_id"},
    ]
    result = world.smoke(
        {"name": "open", "path": "/notes/{odd.id}", "expect_json": {"id": "{odd.id}", "meta.text": "{same.there}"}},
        {"name": "rows", "subject": "total", "expect_json": {"n": 3}, "expect_json_min": {"n": "{total.n}"}},
        subjects=subjects,
    )
    assert result["verdict"] == "passed", result
    assert result["subjects"][0]["row"] == {"id": "i/2 ä", "text": ROWS[1][2]}


def test_a_leak_is_found(world):
    foreign = (
        "SELECT id FROM notes WHERE source <> :source_id AND id NOT IN (SELECT id FROM notes WHERE source = :source_id)"
    )
    options = {"subjects": [{"name": "foreign", "store": "sqlite", "query": foreign, "if_none": "no other profile"}]}
    check = {"name": "leakage", "path": "/notes/{foreign.id}", "expect_status": [404]}
    assert world.one(check, **options)["verdict"] == "passed"
    world.server.habits["leak"] = True
    assert world.one(check, **options)["verdict"] == "failed"


def test_no_row_passes_only_when_that_was_said(world):
    subject = {"name": "none", "store": "sqlite", "query": "SELECT id FROM notes WHERE source = 'x'"}
    after = {"name": "after", "store": "sqlite", "query": "SELECT id FROM notes WHERE id = :none.id"}
    check = {"name": "it", "path": "/notes/{none.id}"}
    assert world.one(check, subjects=[subject])["verdict"] == "not_verified"
    said = {**subject, "if_none": "no other profile holds rows"}
    passed = world.one(check, subjects=[said])
    assert (passed["verdict"], passed["observed"]) == ("passed", "no other profile holds rows")
    assert world.one({"name": "it", "path": "/notes/{after.id}"}, subjects=[said, after])["verdict"] == "passed"


def test_a_query_that_fails_blocks_even_with_if_none(world):
    broken = {"name": "bad", "store": "sqlite", "query": "SELECT id FROM nowhere", "if_none": "fine"}
    check = world.one({"name": "it", "path": "/notes/{bad.id}"}, subjects=[broken])
    assert check["verdict"] == "not_verified" and "no such table: nowhere" in check["message"]
    writing = {"name": "bad", "store": "sqlite", "query": "DELETE FROM notes", "if_none": "fine"}
    assert world.one({"name": "it", "path": "/notes/{bad.id}"}, subjects=[writing])["verdict"] == "not_verified"
    assert world.untouched()


# the verb


def test_no_check_is_not_verified(world):
    assert world.smoke()["verdict"] == "not_verified"
    assert world.smoke(wait=True)["verdict"] == "not_verified"
    with pytest.raises(_smoke.SmokeFailed, match="checks is empty"):
        world.smoke(fail_on_open=True)


def test_check_mode_sends_nothing(world):
    result = world.smoke(
        {"name": "health", "path": "/health"},
        trip(),
        {"name": "row", "subject": "s"},
        check_mode=True,
        fail_on_open=True,
        base_url="http://127.0.0.1:9",
        sqlite_path="/does/not/exist",
        subjects=[{"name": "s", "store": "sqlite", "query": "SELECT 1"}],
    )
    assert result["verdict"] == "not_verified" and result["changed"] is False
    assert [check["message"] for check in result["checks"]] == [
        "check mode: would ask GET http://127.0.0.1:9/health",
        "check mode: would read /notes/i1, write PUT /notes/i1 and put it back",
        "check mode: would look at subject s",
    ]


def test_failure_names_every_open_check(world):
    world.server.backend = "postgres_primary"
    with pytest.raises(_smoke.SmokeFailed) as raised:
        world.smoke(
            {"name": "fine", "path": "/health"},
            {"name": "backend", "path": "/health", "expect_json": {"backend.backend": "sqlite"}},
            {"name": "mismatch", "path": "/health", "expect_status": [400]},
            fail_on_open=True,
        )
    message = raised.value.message()
    assert "2 of 3 smoke checks" in message and "source_id a1" in message
    assert "backend: failed" in message and "mismatch: failed" in message and "fine:" not in message
    assert "status 200 instead of 400" in message and "Read the application's log" in message
    assert raised.value.facts["verdict"] == "failed" and len(raised.value.facts["checks"]) == 3


def test_waiting(world):
    result = world.smoke({"name": "health", "path": "/health"}, wait=True)
    assert [check["name"] for check in result["checks"]] == ["ready", "health"]
    assert result["ready_after_ms"] >= 0 and result["verdict"] == "passed"
    result = world.smoke(
        {"name": "health", "path": "/health"}, wait=True, base_url="http://127.0.0.1:9", wait_timeout=0.2
    )
    assert [check["verdict"] for check in result["checks"]] == ["failed", "not_verified"]
    assert result["ready_after_ms"] is None and "was not ready after" in result["checks"][0]["message"]


@pytest.mark.parametrize(
    ("checks", "options"),
    [
        ([{"name": "a", "path": "/"}, {"name": "a", "path": "/"}], {}),
        ([{"name": "a", "path": "/{nobody.id}"}], {}),
        ([{"name": "a", "subject": "nobody"}], {}),
        ([trip()], {"journal": None}),
        ([trip()], {"expect_store": None}),
        ([trip(lands_in={"table": "notes", "column": "text", "where": {}})], {}),
        ([], {"subjects": [{"name": "s", "store": "sqlite", "query": "SELECT :t.id"}]}),
        ([], {"subjects": [{"name": "s", "store": "sqlite", "query": "SELECT 1"}] * 2}),
    ],
)
def test_contradictions_are_refused_before_anything_is_asked(world, checks, options):
    with pytest.raises(BadInput):
        world.smoke(*checks, check_mode=True, **options)


def test_a_hostile_source_id_is_refused(world):
    with pytest.raises(CutoverError, match="refused"):
        world.smoke({"name": "a", "path": "/health"}, source_id="a1; DROP SCHEMA public")


# round trips


@pytest.mark.parametrize("note", ["i1", "i3"])
def test_a_round_trip_leaves_every_byte(world, note):
    check = world.one(trip(note))
    assert check["verdict"] == "passed", check
    assert check["observed"] == {"canary_in": ["sqlite"], "row": "as it was"}
    assert "pg_cutover canary" in world.server.writes[0]["text"] and len(world.server.writes) == 2
    assert world.untouched()


def test_odd_ids_and_texts(world):
    subject = {"name": "odd", "store": "sqlite", "query": "SELECT id FROM notes WHERE id LIKE 'i/%'"}
    assert world.one(trip("{odd.id}"), subjects=[subject])["verdict"] == "passed"
    assert world.server.writes[0]["text"].startswith(ROWS[1][2]) and world.untouched()


def test_a_body_of_its_own(world):
    own = trip(
        write={"method": "PUT", "path": "/notes/i1", "body": {"text": "", "stars": 5}},
        field="text",
        value_at="meta.text",
    )
    assert world.one(own)["verdict"] == "passed"
    assert world.untouched()


def test_a_row_that_was_not_there_is_gone_again(world):
    world.server.blank_when_missing = True
    assert world.one(trip("new"))["verdict"] == "passed"
    assert len(world.server.writes) == 2 and world.untouched()


def test_canary_in_the_wrong_store(world):
    world.server.path = world.other
    check = world.one(trip())
    assert check["verdict"] == "failed"
    assert "landed in postgres instead of sqlite (notes.text)" in check["message"]
    assert check["observed"] == {"canary_in": ["postgres"], "row": "as it was"}
    assert world.untouched()


def test_canary_in_both_stores(world):
    world.server.habits["also"] = [world.other]
    check = world.one(trip())
    assert check["verdict"] == "failed" and "both stores take writes" in check["message"]
    assert world.untouched()


def test_a_replay_that_carries_one_canary_over_is_no_double_write(world):
    world.server.habits["once_also"] = [world.other]

    def replay() -> None:
        with contextlib.closing(sqlite3.connect(world.other, isolation_level=None)) as db:
            db.execute("UPDATE notes SET text = 'first' WHERE source = 'a1' AND id = 'i1'")

    timer = threading.Timer(0.6, replay)
    timer.start()
    check = world.one(trip())
    timer.join()
    assert check["verdict"] == "passed" and len(world.server.writes) == 3
    assert world.untouched()


def test_canary_in_neither_store(world):
    world.server.path = make(world.folder / "third.db")
    before = contents(world.server.path)
    check = world.one(trip())
    assert check["verdict"] == "failed" and "another database" in check["message"]
    assert world.untouched()
    assert [row[:4] for row in contents(world.server.path)] == [row[:4] for row in before]


def test_a_write_that_is_lost_behind_a_200(world):
    world.server.habits["lose"] = True
    check = world.one(trip())
    assert check["verdict"] == "failed" and "does not show in meta.text what was written" in check["message"]
    assert world.untouched()


def test_a_write_that_is_refused(world):
    world.server.habits["refuse"] = [1, 2, 3]
    check = world.one(trip())
    assert check["verdict"] == "failed" and "status 500" in check["message"]
    assert world.untouched()


def test_put_back_refused_by_the_application_is_done_by_sql(world):
    world.server.habits["refuse"] = [2]
    check = world.one(trip())
    assert check["verdict"] == "failed"
    assert "putting back through the application did not work" in check["message"]
    assert "put back by SQL" in check["message"] and "the row is as it was" in check["message"]
    assert world.untouched()


def test_columns_that_the_application_spoils_are_named_and_put_back(world):
    world.server.habits["spoil"] = True
    assert world.one(trip())["verdict"] == "passed"  # the write that puts back sets it right again
    check = world.one(trip(volatile=[]))
    assert check["verdict"] == "failed" and "updated_at" in check["message"]
    assert world.untouched()


def test_no_put_back_possible_keeps_the_original(world):
    with contextlib.closing(sqlite3.connect(world.sqlite, isolation_level=None)) as db:
        db.execute(
            "CREATE TRIGGER stuck BEFORE UPDATE ON notes WHEN OLD.text LIKE '%canary%'"
            " BEGIN SELECT RAISE(ROLLBACK, 'fenced'); END"
        )
    result = world.smoke(trip())
    (check,) = result["checks"]
    assert check["verdict"] == "failed" and result["changed"] is True
    assert "putting back did NOT work" in check["message"] and str(world.journal) in check["message"]
    assert "fenced" in check["message"] and check["observed"]["row"] == "changed"
    assert stat.S_IMODE(world.journal.stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(world.sqlite, isolation_level=None)) as db:
        db.execute("DROP TRIGGER stuck")
    result = world.smoke(trip())
    assert result["verdict"] == "passed" and result["changed"] is True
    assert result["checks"][0]["name"].startswith("put back what an interrupted")
    assert world.untouched()


@pytest.mark.parametrize("moment", ["after the write", "after the look"])
def test_a_crash_in_between_is_put_right_by_the_next_call(world, monkeypatch, moment):
    class Crash(BaseException):
        pass

    def crash(*_args, **_kwargs):
        raise Crash

    with monkeypatch.context() as patch:
        if moment == "after the write":
            write = _smoke_round_trip._write
            patch.setattr(_smoke_round_trip, "_write", lambda *args: (write(*args), crash()))
        else:
            patch.setattr(_smoke_round_trip, "put_back", crash)
        with pytest.raises(Crash):
            world.smoke(trip())
    assert "canary" in str(contents(world.sqlite)) and world.journal.exists()
    assert "canary" in world.journal.read_text() and "a1" in world.journal.read_text()

    result = world.smoke({"name": "health", "path": "/health"})
    assert result["verdict"] == "passed" and result["changed"] is True
    assert world.untouched()


def test_a_crash_with_no_row_before(world, monkeypatch):
    world.server.blank_when_missing = True
    with monkeypatch.context() as patch:
        patch.setattr(_smoke_round_trip, "put_back", lambda *_a: (_turn for _turn in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            world.smoke(trip("new"))
    assert world.smoke(trip("new"))["verdict"] == "passed"
    assert world.untouched()


def test_somebody_else_s_change_is_kept(world, monkeypatch):
    real = _smoke_round_trip.put_back

    def edited(*args):
        with contextlib.closing(sqlite3.connect(world.sqlite, isolation_level=None)) as db:
            db.execute("UPDATE notes SET stars = 4 WHERE source = 'a1' AND id = 'i1'")
        return real(*args)

    monkeypatch.setattr(_smoke_round_trip, "put_back", edited)
    check = world.one(trip())
    assert check["verdict"] == "failed" and "somebody else changed notes.stars in sqlite" in check["message"]
    with contextlib.closing(sqlite3.connect(world.sqlite)) as db:
        assert db.execute("SELECT text, stars FROM notes WHERE source='a1' AND id='i1'").fetchone() == ("first", 4)
    assert not world.journal.exists()


def test_the_other_store(world):
    alone = world.one(trip(), dsn=None)
    assert alone["verdict"] == "passed" and "postgres store was not looked into" in alone["message"]
    down = world.one(trip(), dsn="down")
    assert down["verdict"] == "not_verified" and "PostgreSQL cannot be reached" in down["message"]
    empty = str(world.folder / "empty.db")
    with contextlib.closing(sqlite3.connect(empty, isolation_level=None)) as db:
        db.execute("CREATE TABLE x (y)")
    assert world.one(trip(), dsn=empty)["verdict"] == "passed"
    assert world.untouched()


def test_what_stops_a_round_trip_before_the_write(world):
    many = trip(lands_in={"table": "notes", "column": "text", "where": {"source": "a1"}})
    assert "names several rows" in world.one(many)["message"]
    assert "no field" in world.one(trip(value_at="meta.none"))["message"]
    assert "cannot take a canary" in world.one(trip(field="stars"))["message"]
    assert "status 404" in world.one(trip("absent"))["message"]
    blocked = world.one(trip(), journal="/proc/nowhere/smoke.json")
    assert blocked["verdict"] == "not_verified" and "journal" in blocked["message"]
    assert not world.server.writes and world.untouched()


def test_a_journal_of_another_profile_or_a_broken_one(world):
    world.journal.parent.mkdir()
    world.journal.write_text("{")
    with pytest.raises(CutoverError, match="cannot be read"):
        world.smoke(trip())
    world.journal.unlink()


def test_row_values_survive_the_journal(world):
    with contextlib.closing(sqlite3.connect(world.sqlite, isolation_level=None)) as db:
        db.execute("UPDATE notes SET updated_at = x'00ff', stars = 1.5 WHERE source = 'a1' AND id = 'i1'")
    world.before = contents(world.sqlite), contents(world.other)
    assert world.one(trip())["verdict"] == "passed"
    assert world.untouched()
