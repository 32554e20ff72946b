# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference API keeps the contract of the real application, awkward habits included."""

from __future__ import annotations

import csv
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from api_client import Api, clean_environment, free_port, run_cli
from local_stack.seed import seed_database
from local_stack.stack import Stack

ITEMS = {"assets_1": 60, "assets_2": 20}
ApiFactory = Callable[..., Api]
PRIMARY = {"SX_DB_BACKEND_MODE": "POSTGRES_PRIMARY"}


@pytest.fixture
def seeded(tmp_path: Path) -> Path:
    """A fresh SQLite file with both profiles."""
    path = tmp_path / "sx.db"
    seed_database(path, ITEMS)
    return path


@pytest.fixture(scope="module")
def shared_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file for the tests that do not fence it."""
    path = tmp_path_factory.mktemp("shared") / "sx.db"
    seed_database(path, ITEMS)
    return path


@pytest.fixture(scope="module")
def api(start_api: ApiFactory, shared_file: Path) -> Api:
    """A process in SQLite mode."""
    return start_api(SX_DB_PATH=str(shared_file))


@pytest.fixture(scope="module")
def dsn(stack: Stack) -> dict[str, str]:
    """Settings of a PostgreSQL primary process."""
    return {**PRIMARY, "SX_POSTGRES_DSN": stack.secrets()["dsn"]}


@pytest.fixture(scope="module")
def primary(start_api: ApiFactory, dsn: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Api:
    """A process in PostgreSQL mode with two bootstrapped profiles of its own and a few items in the first."""
    folder = tmp_path_factory.mktemp("csv")
    one, two = (f"ref_{name}_{uuid.uuid4().hex[:6]}" for name in ("one", "two"))
    api = start_api(source=one, SX_PROFILES="", SX_API_ERROR_LINGER_SECONDS="3", **dsn)
    for source in (one, two):
        done = run_cli(api.environment, "pg-bootstrap", "--source", source, cwd=folder)
        assert done.returncode == 0, done.stderr
    done = run_cli(api.environment, "import", "--csv", str(items_csv(folder)), "--source", one, cwd=folder)
    assert done.returncode == 0, done.stderr
    return api


def items_csv(folder: Path) -> Path:
    """Write a small CSV file to import."""
    path = folder / "items.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(
            ["id", "author_unique_id", "author_name", "caption", "bookmarked", "bookmark_timestamp", "plays"]
        )
        writer.writerow(["1", "anna", "Änna", "Hello World", "1", "2026-01-01T00:00:00Z", "5"])
        writer.writerow(["2", "anna", "Änna", "50% \\ done", "", "", "6"])
        writer.writerow(["3", "bob", "Bob", "line\nbreak", "0", "yesterday", "7"])
    return path


def rows(path: Path, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a statement on a SQLite file and commit."""
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
        return connection.execute(statement, parameters).fetchall()


@contextmanager
def postgres(dsn: str) -> Iterator[Any]:
    """Yield a cursor in autocommit mode."""
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        yield connection.cursor()


class TestNamingAProfile:
    """Every request names its profile."""

    @pytest.mark.parametrize(
        "method, path", [("GET", "/health"), ("GET", "/items"), ("POST", "/admin/bootstrap/schema")]
    )
    def test_without_one_is_an_early_400(self, api: Api, method: str, path: str) -> None:
        body = {"source_id": "assets_1"} if method == "POST" else None
        answer = api.as_source(None).call(method, path, body, headers={"X-Request-ID": "r-1"})
        assert answer.status == 400
        assert answer.json == {
            "ok": False,
            "detail": "Missing explicit source_id (query or X-SX-Source-ID)",
            "request_id": "r-1",
        }
        assert not [name for name in answer.headers if name.startswith("x-sx-")]

    def test_by_header_or_by_query(self, api: Api) -> None:
        assert api.get("/health").json["source_id"] == "assets_1"
        answer = api.as_source(None).get("/health?source_id=assets_2")
        assert answer.json["source_id"] == "assets_2"
        assert answer.json["profile_index"] == 2

    def test_hostile_id_is_refused(self, api: Api) -> None:
        assert api.as_source("a; DROP SCHEMA x").get("/health").status == 400

    def test_unknown_profile_is_registered_by_a_get(self, api: Api, shared_file: Path) -> None:
        name = f"new-{uuid.uuid4().hex[:6]}"
        assert api.as_source(name).get("/items").json["total"] == 0
        assert rows(shared_file, "SELECT enabled FROM sources WHERE id=?", name) == [(1,)]
        assert name in [row["id"] for row in api.get("/sources").json["sources"]]

    def test_profile_index_must_match(self, api: Api) -> None:
        assert api.get("/health", {"X-SX-Profile-Index": "1"}).status == 200
        answer = api.get("/health", {"X-SX-Profile-Index": "2"})
        assert answer.status == 400
        assert "mismatch" in answer.json["detail"]

    def test_both_rules_can_be_turned_off(self, start_api: ApiFactory, shared_file: Path) -> None:
        lax = start_api(
            source=None,
            SX_DB_PATH=str(shared_file),
            SX_DEFAULT_SOURCE_ID="assets_2",
            SX_API_REQUIRE_EXPLICIT_SOURCE="false",
            SX_API_ENFORCE_PROFILE_SOURCE_MATCH="0",
        )
        assert lax.get("/health").json["source_id"] == "assets_2"
        assert lax.get("/health", {"X-SX-Profile-Index": "1"}).status == 200

    def test_profile_lists_need_none(self, api: Api) -> None:
        for path in ("/pipeline/profiles", "/config/profiles"):
            assert api.as_source(None).get(path).status == 200


class TestAnswers:
    """What the handlers say in SQLite mode."""

    def test_handler_answers_are_signed(self, api: Api) -> None:
        answer = api.get("/stats", {"X-Request-ID": "r-2"})
        assert answer.headers["x-sx-source-id"] == "assets_1"
        assert answer.headers["x-sx-backend"] == "sqlite"
        assert answer.headers["x-sx-request-id"] == "r-2"

    def test_health(self, api: Api, shared_file: Path) -> None:
        health = api.get("/health").json
        backend = health.pop("backend")
        assert health == {
            "ok": True,
            "source_id": "assets_1",
            "profile_index": 1,
            "db_path": str(shared_file),
            "api_version": "1.0.0",
            "env_hint": "SQLITE",
        }
        assert (backend["backend"], backend["active"], backend["schema"]) == ("sqlite", False, None)
        assert backend["reason"]

    def test_stats(self, api: Api) -> None:
        stats = api.get("/stats").json
        assert stats["counts"]["items"] == ITEMS["assets_1"]
        assert stats["counts"]["fts_rows"] == sum(ITEMS.values())
        assert set(stats["counts"]) == {"items", "bookmarked", "authors", "fts_rows"}
        assert stats["backend"]["backend"] == "sqlite"
        assert stats["last_updated_at"].endswith("Z")

    def test_pages(self, api: Api) -> None:
        page = api.get("/items?limit=7&offset=3").json
        assert (len(page["items"]), page["limit"], page["offset"], page["total"]) == (
            7,
            7,
            3,
            ITEMS["assets_1"],
        )
        assert len(page["items"][0]) == 18
        for limit in ("0", "2001"):
            assert api.get(f"/items?limit={limit}").status == 422

    def test_one_item(self, api: Api) -> None:
        item_id = first_item(api)
        item = api.get(f"/items/{item_id}").json["item"]
        assert len(item) == 18 and item["source_id"] == "assets_1"
        assert api.get(f"/items/{item_id}/raw").json["raw"]["consolidated"]["id"] == item_id
        assert api.get(f"/items/{item_id}/links").json["links"]["video_path"] == item["video_path"]
        missing = api.get("/items/none")
        assert (missing.status, missing.json) == (404, {"detail": "Not found"})
        assert missing.headers["x-sx-backend"] == "sqlite"

    def test_search_and_authors(self, api: Api) -> None:
        found = api.get("/search?q=ASSETS_1").json["results"]
        assert found and set(found[0]) == {"id", "author_unique_id", "author_name", "snippet", "bookmarked"}
        authors = api.get("/authors").json["authors"]
        assert sum(author["items"] for author in authors) <= ITEMS["assets_1"]

    def test_misspelt_mode_is_sqlite(self, start_api: ApiFactory) -> None:
        odd = start_api(SX_DB_BACKEND_MODE="POSTGRES-PRIMARY")
        assert odd.get("/health").json["env_hint"] == "SQLITE"

    def test_bootstrap_is_a_noop(self, api: Api) -> None:
        answer = api.call("POST", "/admin/bootstrap/schema", {"source_id": "whatever"})
        assert (answer.status, answer.json["ok"]) == (200, True)


class TestWrites:
    """Meta and notes."""

    def test_put_meta_replaces_all_fields(self, api: Api) -> None:
        item_id = first_item(api)
        api.put(f"/items/{item_id}/meta", {"rating": 4, "statuses": ["raw", "posted"], "notes": "a\u0000b"})
        meta = api.get(f"/items/{item_id}/meta").json["meta"]
        assert (meta["rating"], meta["statuses"], meta["notes"]) == (4, ["raw", "posted"], "a\u0000b")
        api.put(f"/items/{item_id}/meta", {"tags": "x", "rating": 99999999999})
        meta = api.get(f"/items/{item_id}/meta").json["meta"]
        assert (meta["rating"], meta["statuses"], meta["notes"], meta["tags"]) == (99999999999, [], None, "x")

    def test_meta_of_a_missing_item(self, api: Api) -> None:
        answer = api.get("/items/none/meta")
        assert answer.status == 200
        assert answer.json["meta"]["video_id"] == "none" and answer.json["meta"]["rating"] is None
        assert api.put("/items/none/meta", {"rating": 1}).status == 404

    def test_author_links_fan_out(self, api: Api, shared_file: Path) -> None:
        author = max(api.get("/authors").json["authors"], key=lambda row: row["items"])
        name = author["author_unique_id"]
        ids = [row[0] for row in rows(shared_file, *by_author("assets_1", name))]
        api.put(f"/items/{ids[0]}/meta", {"author_links": ["https://example.org/me"]})
        assert len(ids) > 1
        for item_id in ids:
            assert api.get(f"/items/{item_id}/meta").json["meta"]["author_links"] == ["https://example.org/me"]
        other = [row[0] for row in rows(shared_file, *by_author("assets_2", name))]
        for item_id in other:
            links = api.as_source("assets_2").get(f"/items/{item_id}/meta").json["meta"]["author_links"]
            assert links != ["https://example.org/me"]

    def test_notes(self, api: Api, shared_file: Path) -> None:
        with_note = {row[0] for row in rows(shared_file, "SELECT video_id FROM video_notes")}
        item_id = next(i["id"] for i in api.get("/items?limit=200").json["items"] if i["id"] not in with_note)
        made_up = api.get(f"/items/{item_id}/note").json
        assert made_up["cached"] is False and made_up["markdown"]
        assert not rows(shared_file, "SELECT 1 FROM video_notes WHERE video_id=?", item_id)
        assert api.put(f"/items/{item_id}/note-md", {"markdown": "# a\n\\.\n'\""}).json["ok"] is True
        stored = api.get(f"/items/{item_id}/note").json
        assert (stored["cached"], stored["markdown"]) == (True, "# a\n\\.\n'\"")
        assert api.get("/items/none/note").status == 404

    def test_import(self, api: Api, shared_file: Path, tmp_path: Path) -> None:
        path = str(items_csv(tmp_path))
        for _turn in range(2):
            done = run_cli(api.environment, "import", "--csv", path, "--source", "imported", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
        assert api.as_source("imported").get("/stats").json["counts"]["items"] == 3
        assert api.as_source("imported").get("/items/3/raw").json["raw"]["consolidated"]["plays"] == "7"


class TestRequestLog:
    """The request log standard."""

    def test_fields(self, start_api: ApiFactory, shared_file: Path) -> None:
        api = start_api(SX_DB_PATH=str(shared_file))
        item_id = first_item(api)
        api.get(f"/items/{item_id}", {"X-Request-ID": "seen"})
        api.get("/items/none", {"X-Request-ID": "missing"})
        api.as_source(None).get(f"/items/{item_id}/meta", {"X-Request-ID": "early"})
        api.get("/nowhere", {"X-Request-ID": "unrouted"})
        api.as_source(None).get("/health")
        lines = {line["request_id"]: line for line in api.request_log()}
        assert set(lines["seen"]) == {"timestamp", "request_id", "route", "status", "latency", "error_code"}
        assert isinstance(lines["seen"]["latency"], float)
        picked = {key: (line["route"], line["status"], line["error_code"]) for key, line in lines.items()}
        assert picked["seen"] == ("/items/{id}", 200, None)
        assert picked["missing"] == ("/items/{id}", 404, "HTTP_404")
        assert picked["early"] == ("/items/{id}/meta", 400, "HTTP_400")
        assert picked["unrouted"] == ("/nowhere", 404, "HTTP_404")
        assert len(api.request_log()[-1]["request_id"]) == 32


class TestReadOnly:
    """DB_READ_ONLY=1."""

    def test_sqlite(self, start_api: ApiFactory, seeded: Path) -> None:
        api = start_api(SX_DB_PATH=str(seeded), DB_READ_ONLY="1")
        before = rows(seeded, "SELECT id, updated_at FROM sources ORDER BY id")
        item_id = first_item(api)
        answer = api.put(f"/items/{item_id}/meta", {"rating": 1})
        assert (answer.status, answer.json["error_code"]) == (403, "DB_READ_ONLY")
        assert "DB_READ_ONLY" in answer.json["detail"]
        assert api.put(f"/items/{item_id}/note-md", {"markdown": "x"}).status == 403
        assert api.call("POST", "/admin/bootstrap/schema", {"source_id": "x"}).status == 403
        assert api.request_log()[-1]["error_code"] == "DB_READ_ONLY"
        paths = ["/health", "/stats", "/items", "/search?q=a", "/authors", "/sources"]
        for path in [
            *paths,
            *(f"/items/{item_id}{rest}" for rest in ("", "/raw", "/links", "/meta", "/note")),
        ]:
            assert api.get(path).status == 200, path
        assert api.as_source("stranger").get("/items").json["total"] == 0
        assert rows(seeded, "SELECT id, updated_at FROM sources ORDER BY id") == before

    def test_postgres(self, start_api: ApiFactory, primary: Api, dsn: dict[str, str]) -> None:
        api = start_api(source=primary.source, DB_READ_ONLY="1", SX_PROFILES="", **dsn)
        assert api.get("/items/1").json["item"]["caption"] == "Hello World"
        assert api.put("/items/1/meta", {"rating": 1}).json["error_code"] == "DB_READ_ONLY"
        assert api.as_source("stranger").get("/items").status == 400


class TestSqliteLocks:
    """What a lock or a trigger in the shared file does to the processes."""

    def fence(self, path: Path, action: str) -> None:
        rows(
            path,
            "CREATE TRIGGER fence BEFORE INSERT ON user_meta WHEN NEW.source_id='assets_1'"
            f" BEGIN SELECT RAISE({action}, 'fenced'); END",
        )

    @pytest.mark.slow
    def test_raise_abort_takes_the_file_down(self, start_api: ApiFactory, seeded: Path) -> None:
        api = start_api(SX_DB_PATH=str(seeded), SX_API_ERROR_LINGER_SECONDS="13")
        item_id, other = first_item(api), first_item(api.as_source("assets_2"))
        self.fence(seeded, "ABORT")
        answer = api.put(f"/items/{item_id}/meta", {"rating": 1})
        assert (answer.status, answer.text) == (500, "Internal Server Error")
        assert answer.headers["content-type"].startswith("text/plain")
        assert not [name for name in answer.headers if name.startswith("x-sx-")]
        failed = time.monotonic()
        with (
            closing(sqlite3.connect(seeded, timeout=0.2)) as connection,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            connection.execute("DROP TRIGGER fence")
        assert api.as_source("assets_2").get(f"/items/{other}").status == 500
        assert api.request_log()[-1]["error_code"] == "HTTP_500"
        time.sleep(max(0.0, 13.5 - (time.monotonic() - failed)))
        rows(seeded, "DROP TRIGGER fence")
        assert api.put(f"/items/{item_id}/meta", {"rating": 1}).status == 200

    def test_raise_rollback_stops_only_the_profile(self, start_api: ApiFactory, seeded: Path) -> None:
        api = start_api(SX_DB_PATH=str(seeded))
        item_id, other = first_item(api), first_item(api.as_source("assets_2"))
        self.fence(seeded, "ROLLBACK")
        for _turn in range(20):
            started = time.monotonic()
            assert api.put(f"/items/{item_id}/meta", {"rating": 1}).status == 500
            assert time.monotonic() - started < 1
        assert api.get(f"/items/{item_id}").status == 200
        assert api.as_source("assets_2").put(f"/items/{other}/meta", {"rating": 1}).status == 200
        assert api.as_source("brand-new").get("/health").status == 200
        rows(seeded, "DROP TRIGGER fence")
        assert api.put(f"/items/{item_id}/meta", {"rating": 1}).status == 200

    def test_raise_ignore_loses_the_write(self, start_api: ApiFactory, seeded: Path) -> None:
        api = start_api(SX_DB_PATH=str(seeded))
        item_id = first_item(api)
        rows(seeded, "DELETE FROM user_meta")
        rows(
            seeded,
            "CREATE TRIGGER fence BEFORE INSERT ON user_meta BEGIN SELECT RAISE(IGNORE); END",
        )
        assert api.put(f"/items/{item_id}/meta", {"rating": 1}).status == 200
        assert rows(seeded, "SELECT COUNT(*) FROM user_meta") == [(0,)]

    @pytest.mark.slow
    def test_a_held_write_lock_delays_health_and_fails_reads(self, start_api: ApiFactory, seeded: Path) -> None:
        api = start_api(SX_DB_PATH=str(seeded))
        item_id = first_item(api)
        seen: dict[str, tuple[int, float]] = {}

        def ask(path: str) -> None:
            started = time.monotonic()
            seen[path] = (api.get(path).status, time.monotonic() - started)

        with closing(sqlite3.connect(seeded)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            threads = [threading.Thread(target=ask, args=(path,)) for path in ("/health", f"/items/{item_id}")]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        status, seconds = seen["/health"]
        assert status == 200 and 4.5 < seconds < 8
        status, seconds = seen[f"/items/{item_id}"]
        assert status == 500 and 9 < seconds < 14

    def test_health_does_not_look_at_data(self, start_api: ApiFactory, seeded: Path) -> None:
        api = start_api(SX_DB_PATH=str(seeded))
        rows(seeded, "DELETE FROM videos")
        assert api.get("/health").json["ok"] is True

    def test_rows_without_a_profile_are_repaired(self, start_api: ApiFactory, seeded: Path) -> None:
        api = start_api(SX_DB_PATH=str(seeded), SX_DEFAULT_SOURCE_ID="assets_2")
        rows(seeded, "INSERT INTO videos (source_id, id) VALUES (' ', 'lost')")
        assert api.as_source("assets_2").get("/items/lost").status == 200

    def test_legacy_table_is_rebuilt_and_loses_its_triggers(self, start_api: ApiFactory, tmp_path: Path) -> None:
        path = tmp_path / "legacy.db"
        rows(
            path,
            "CREATE TABLE video_notes (video_id TEXT PRIMARY KEY, markdown TEXT NOT NULL, updated_at TEXT)",
        )
        rows(path, "CREATE TRIGGER mine AFTER INSERT ON video_notes BEGIN SELECT 1; END")
        rows(path, "INSERT INTO video_notes (video_id, markdown) VALUES ('1', 'kept')")
        api = start_api(SX_DB_PATH=str(path), SX_DEFAULT_SOURCE_ID="assets_1")
        assert api.get("/items/1/note").json["markdown"] == "kept"
        assert rows(path, "SELECT name FROM sqlite_master WHERE type='trigger'") == []
        keys = [row[1] for row in rows(path, "PRAGMA table_info(video_notes)") if row[5]]
        assert keys == ["source_id", "video_id"]


class TestPostgresPrimary:
    """POSTGRES_PRIMARY mode."""

    def test_health(self, primary: Api) -> None:
        health = primary.get("/health").json
        schema = f"sx_{primary.source}"
        assert health["env_hint"] == "POSTGRES_PRIMARY"
        assert health["backend"] == {
            "backend": "postgres_primary",
            "active": True,
            "source_id": primary.source,
            "schema": schema,
            "search_path": f"{schema},public",
        }
        assert primary.get("/stats").headers["x-sx-backend"] == "postgres_primary"

    def test_search_path_is_the_profiles_schema(self, primary: Api, dsn: dict[str, str]) -> None:
        def meta_rows() -> dict[str, int]:
            with postgres(dsn["SX_POSTGRES_DSN"]) as cursor:
                cursor.execute("SELECT source_id, schema_name FROM public.sx_source_registry")
                found = {}
                for source, schema in cursor.fetchall():
                    cursor.execute(f'SELECT COUNT(*) FROM "{schema}".user_meta')
                    found[source] = cursor.fetchone()[0]
                return found

        before = meta_rows()
        assert primary.get("/stats").json["counts"]["items"] == 3
        assert primary.put("/items/1/meta", {"rating": 3, "author_links": ["u"]}).status == 200
        assert primary.get("/items/2/meta").json["meta"]["author_links"] == ["u"]
        assert meta_rows() == {**before, primary.source: 2}

    def test_every_route_answers(self, primary: Api) -> None:
        assert primary.put("/items/1/note-md", {"markdown": "# x"}).status == 200
        paths = ["/items", "/search?q=World", "/authors?q=anna", "/sources"]
        for path in [*paths, *(f"/items/1{rest}" for rest in ("", "/raw", "/links", "/meta", "/note"))]:
            assert primary.get(path).status == 200, path

    def test_differences_on_identical_data(self, api: Api, primary: Api, tmp_path: Path) -> None:
        path = str(items_csv(tmp_path))
        run_cli(api.environment, "import", "--csv", path, "--source", "same", cwd=tmp_path)
        sqlite = api.as_source("same")
        count = {
            name: [len(one.get(f"/search?q={q}").json["results"]) for q in ("hello", "%25%20%5C")]
            for name, one in (("sqlite", sqlite), ("postgres", primary))
        }
        assert count == {"sqlite": [1, 1], "postgres": [0, 0]}
        assert len(sqlite.get("/authors?q=%C3%A4nna").json["authors"]) == 0
        assert len(primary.get("/authors?q=%C3%A4nna").json["authors"]) == 1
        assert sqlite.get("/items?bookmark_from=2025-01-01").status == 200
        assert primary.get("/items?bookmark_from=2025-01-01").status == 500

    @pytest.mark.parametrize("body", [{"rating": 99999999999}, {"notes": "a\u0000b"}])
    def test_values_only_sqlite_takes_are_500(self, primary: Api, body: dict[str, Any]) -> None:
        answer = primary.put("/items/3/meta", body)
        assert (answer.status, answer.text) == (500, "Internal Server Error")

    def test_failed_connection_stays_in_its_aborted_transaction(self, primary: Api, stack: Stack) -> None:
        assert primary.put("/items/3/meta", {"rating": 99999999999}).status == 500
        with postgres(stack.secrets()["superuser_dsn"]) as cursor:
            cursor.execute("SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'idle in transaction (aborted)'")
            assert cursor.fetchone()[0] >= 1

    def test_unmapped_profile_is_400_and_stays_unknown(self, primary: Api) -> None:
        answer = primary.as_source("nobody").get("/health")
        assert answer.status == 400
        assert "No schema mapping" in answer.json["detail"]
        assert "nobody" not in [row["id"] for row in primary.get("/sources").json["sources"]]

    def test_bootstrap_trap(self, primary: Api) -> None:
        name = f"trap.{uuid.uuid4().hex[:6]}"
        assert primary.as_source(name).call("POST", "/admin/bootstrap/schema", {"source_id": name}).status == 400
        answer = primary.call("POST", "/admin/bootstrap/schema", {"source_id": name})
        assert answer.json == {"ok": True, "source_id": name, "schema": "sx_" + name.replace(".", "_")}
        assert primary.as_source(name).get("/stats").json["counts"]["items"] == 0

    def test_uncommitted_write_to_sources_hangs_every_profile(self, primary: Api, dsn: dict[str, str]) -> None:
        with closing(psycopg2.connect(dsn["SX_POSTGRES_DSN"])) as connection:
            connection.cursor().execute("UPDATE public.sources SET label = label WHERE id = 'nobody at all'")
            with pytest.raises(TimeoutError):
                primary.call("GET", "/health", timeout=1.5)
        assert primary.get("/health").status == 200

    def test_objects(self, primary: Api, dsn: dict[str, str]) -> None:
        schema = f"sx_{primary.source}"
        with postgres(dsn["SX_POSTGRES_DSN"]) as cursor:
            cursor.execute(
                "SELECT array_agg(DISTINCT data_type::text ORDER BY data_type::text),"
                " count(DISTINCT table_name) FROM information_schema.columns WHERE table_schema = %s",
                (schema,),
            )
            assert cursor.fetchone() == (["integer", "text"], 8)
            cursor.execute("SELECT indexname FROM pg_indexes WHERE schemaname = %s", (schema,))
            names = [row[0] for row in cursor.fetchall() if not row[0].endswith("_pkey")]
            assert len(names) == 8 and all(name.startswith(f"idx_{schema}_") for name in names)
            cursor.execute(
                "SELECT convalidated FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace"
                " WHERE n.nspname = %s AND contype = 'f'",
                (schema,),
            )
            assert cursor.fetchall() == [(False,), (False,)]

    def test_foreign_owner_is_400_no_permission(self, primary: Api, stack: Stack) -> None:
        table = f'"sx_{primary.source}".job_queue'
        with postgres(stack.secrets()["admin_dsn"]) as cursor:
            cursor.execute(f"ALTER TABLE {table} OWNER TO sx_admin")
            try:
                answer = primary.get("/health")
            finally:
                cursor.execute(f"ALTER TABLE {table} OWNER TO sx_app")
        assert answer.status == 400
        assert "no permission" in answer.json["detail"] and "job_queue" in answer.json["detail"]

    def test_postgres_down_is_400(self, start_api: ApiFactory) -> None:
        api = start_api(SX_POSTGRES_DSN=f"postgresql://x:y@127.0.0.1:{free_port()}/z", **PRIMARY)
        answer = api.get("/health")
        assert answer.status == 400
        assert "connection failed" in answer.json["detail"]
        assert "x-sx-backend" not in answer.headers


class TestCommandLine:
    """pg-bootstrap."""

    def test_needs_the_mode(self, tmp_path: Path, dsn: dict[str, str]) -> None:
        environment = clean_environment(SX_POSTGRES_DSN=dsn["SX_POSTGRES_DSN"])
        assert run_cli(environment, "pg-bootstrap", "--source", "x", cwd=tmp_path).returncode == 2

    def test_twice_is_fine_and_a_shared_schema_name_is_not(self, tmp_path: Path, dsn: dict[str, str]) -> None:
        environment, tag = clean_environment(**dsn), uuid.uuid4().hex[:6]
        for _turn in range(2):
            assert run_cli(environment, "pg-bootstrap", "--source", f"a.{tag}", cwd=tmp_path).returncode == 0
        clash = run_cli(environment, "pg-bootstrap", "--source", f"a-{tag}", cwd=tmp_path)
        assert clash.returncode == 1 and "unique" in clash.stderr

    def test_long_names_share_a_schema_in_silence(self, tmp_path: Path, dsn: dict[str, str]) -> None:
        environment, tag = clean_environment(**dsn), uuid.uuid4().hex
        names = [f"{tag * 2}abcdef{last}" for last in "12"]
        for name in names:
            assert run_cli(environment, "pg-bootstrap", "--source", name, cwd=tmp_path).returncode == 0
        with postgres(dsn["SX_POSTGRES_DSN"]) as cursor:
            cursor.execute("SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE %s", (f"sx_{tag}%",))
            assert cursor.fetchone() == (1,)

    def test_env_file_is_read_and_the_environment_wins(self, tmp_path: Path, dsn: dict[str, str]) -> None:
        lines = [f"{name}='{value}'\n" for name, value in dsn.items()]
        (tmp_path / ".env").write_text("".join(lines), encoding="utf-8")
        source = f"env_{uuid.uuid4().hex[:6]}"
        assert run_cli(clean_environment(), "pg-bootstrap", "--source", source, cwd=tmp_path).returncode == 0
        environment = clean_environment(SX_DB_BACKEND_MODE="SQLITE")
        assert run_cli(environment, "pg-bootstrap", "--source", source, cwd=tmp_path).returncode == 2


class TestMirror:
    """POSTGRES_MIRROR mode."""

    def test_serves_sqlite_and_mirrors_writes(self, start_api: ApiFactory, dsn: dict[str, str], tmp_path: Path) -> None:
        source = f"mirror_{uuid.uuid4().hex[:6]}"
        settings = {**dsn, "SX_DB_BACKEND_MODE": "POSTGRES_MIRROR", "SX_PROFILES": ""}
        api = start_api(source=source, **settings)
        run_cli(clean_environment(**dsn), "pg-bootstrap", "--source", source, cwd=tmp_path)
        path = str(items_csv(tmp_path))
        done = run_cli(api.environment, "import", "--csv", path, "--source", source, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        backend = api.get("/health").json["backend"]
        assert backend["deprecated"] is True and backend["note"]
        assert api.get("/items/1").headers["x-sx-backend"] == "sqlite"
        api.put("/items/1/note-md", {"markdown": "both"})
        with postgres(dsn["SX_POSTGRES_DSN"]) as cursor:
            cursor.execute(f'SELECT markdown FROM "sx_{source}".video_notes')
            assert cursor.fetchall() == [("both",)]

    def test_a_lost_mirror_write_is_not_noticed(self, start_api: ApiFactory, seeded: Path) -> None:
        dsn = f"postgresql://x:y@127.0.0.1:{free_port()}/z"
        settings = {"SX_DB_BACKEND_MODE": "POSTGRES_MIRROR", "SX_POSTGRES_DSN": dsn}
        api = start_api(SX_DB_PATH=str(seeded), **settings)
        assert api.put(f"/items/{first_item(api)}/meta", {"rating": 1}).status == 200


def first_item(api: Api) -> str:
    """Return the id of some item of the profile."""
    return str(api.get("/items?limit=1").json["items"][0]["id"])


def by_author(source: str, author: str) -> tuple[str, str, str]:
    """Return a query for the ids of an author's items."""
    return "SELECT id FROM videos WHERE source_id=? AND author_unique_id=? ORDER BY id", source, author
