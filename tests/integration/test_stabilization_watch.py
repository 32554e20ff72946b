# SPDX-License-Identifier: GPL-3.0-or-later
"""The module stabilization_watch on real stores: what a look sees, what stops it, and how it goes on."""

from __future__ import annotations

import contextlib
import json
import stat
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from _ansible import wait_for
from _application import Application, application
from _databases import Database, fresh_database
from _online import Online, begin
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _fence_sqlite, _sqlite_writer, _switch, _watch
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput
from ansible_collections.sxops.pg_cutover.plugins.module_utils._progress import SILENT
from ansible_collections.sxops.pg_cutover.plugins.modules import stabilization_watch
from local_stack.stack import Stack

SINCE = "2026-11-21T09:31:02.410Z"
TITLE = "title", "id = 'i0000001'"
Watched = dict[str, Any]


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[Database]:
    with fresh_database(stack, "stabilization_watch") as created:
        yield created


@pytest.fixture
def switched(database: Database, tmp_path: Path) -> Online:
    """A profile after its switch."""
    database.run("GRANT ALL ON SCHEMA public TO PUBLIC")
    online = begin(database, tmp_path / "live.db")
    with online.stores() as stores:
        _switch.to_postgres(stores, "counts", None)
    return online


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    log = tmp_path / "requests.jsonl"
    log.touch()
    with application(log) as serving:
        yield serving


def options(switched: Online, app: Application, **more: Any) -> dict[str, Any]:
    """Return the module's options as Ansible would hand them over."""
    defaults = {name: spec.get("default") for name, spec in stabilization_watch.argument_spec().items()}
    given = {name: value for name, value in switched.tenant.params.items() if name in defaults}
    return {
        **defaults,
        **given,
        "connect_timeout": 5,
        "since": SINCE,
        "samples_file": str(app.log.parent / "watch/watch.jsonl"),
        "instances": [{"name": "api", "base_url": app.base_url}],
        "ready_checks": [{"name": "health", "path": "/health", "expect_json": {"ok": True}}],
        "request_logs": [str(app.log)],
        "interval": 0.2,
        **more,
    }


def watch(switched: Online, app: Application, check: bool = False, **more: Any) -> Watched:
    """Do what the module does, in this process."""
    module = SimpleNamespace(params=options(switched, app, **more), check_mode=check)
    return stabilization_watch.watch(module)


@contextlib.contextmanager
def watching(switched: Online, app: Application, **more: Any) -> Iterator[dict[str, Watched]]:
    """Watch beside the test; what came of it is there under C(result) after the block."""
    found: dict[str, Watched] = {}
    thread = threading.Thread(target=lambda: found.update(result=watch(switched, app, duration=60.0, **more)))
    thread.start()
    try:
        yield found
    finally:
        thread.join(90)
    assert "result" in found, "the watch did not end"


def samples(app: Application) -> list[dict[str, Any]]:
    path = app.log.parent / "watch/watch.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def trigger(result: Watched, name: str) -> dict[str, Any]:
    return next(one for one in result["triggers"] if one["name"] == name)


def go_back(online: Online) -> None:
    with online.stores(retries=50) as stores:
        _switch.to_sqlite(stores, "replay", None)


def soon(condition: Callable[[], Any], what: str) -> Any:
    return wait_for(condition, what, 40)


# What a look sees


def test_one_look(switched: Online, app: Application) -> None:
    switched.tenant.postgres("UPDATE items SET title = 'from postgres' WHERE id = 'i0000001'")
    result = watch(switched, app)
    assert (result["stopped_by"], result["changed"], result["replayed"], result["pending"]) == ("looked", True, 1, 0)
    assert (result["fired"], result["problems"], result["samples"]) == ([], {}, 1)
    assert switched.rows("sqlite", "items", *TITLE) == [("from postgres",)]
    (sample,) = samples(app)
    assert sample["ready"] == {"api": True} and sample["probe_ms"]["api"] > 0
    assert sample["postgres_ok"] and 0 < sample["connections_used"] < sample["connections_limit"]
    assert sample["data"]["checked"] >= 3 and sample["data"]["failed"] == []
    assert sample["migration"]["checked"] >= 1 and sample["migration"]["failed"] == []
    assert sample["leakage"] is None
    again = watch(switched, app)
    assert (again["changed"], again["replayed"], again["samples"]) == (False, 0, 2)
    assert len(again["triggers"]) == 11 == len(again["checks"])
    assert again["advice"]["decision"] == "CONTINUE"


def test_the_samples_are_for_their_owner_only(switched: Online, app: Application) -> None:
    result = watch(switched, app)
    folder = app.log.parent / "watch"
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(result["samples_sha256"]) == 64


def test_requests_are_counted_once_from_the_first_look_on(switched: Online, app: Application) -> None:
    app.served(30)
    watch(switched, app)
    app.served(25)
    app.served(5, status=500, latency_ms=80.0)
    result = watch(switched, app)  # goes on where the first one stopped reading
    assert [sample["requests"] for sample in samples(app)] == [0, 30]
    assert samples(app)[1]["errors_5xx"] == 5 and samples(app)[1]["latency_p95_ms"] > 50
    assert result["series"][-1]["error_percent"] == pytest.approx(100 * 5 / 30, abs=0.01)


def test_check_mode_asks_nothing_of_the_application_and_writes_nothing(switched: Online, app: Application) -> None:
    switched.tenant.postgres("UPDATE items SET title = 'later' WHERE id = 'i0000001'")
    result = watch(switched, app, check=True, duration=3600.0)
    assert (result["stopped_by"], result["changed"], result["pending"]) == ("looked", False, 1)
    assert app.asked == [] and not (app.log.parent / "watch").exists()
    assert switched.rows("sqlite", "items", *TITLE) == [("title 1",)]
    assert trigger(result, "startup")["verdict"] == "not_verified"


def test_a_look_that_is_not_recorded_is_judged_with_those_that_are(switched: Online, app: Application) -> None:
    watch(switched, app)
    switched.tenant.postgres("UPDATE items SET title = 'later' WHERE id = 'i0000001'")
    before = {path: path.read_bytes() for path in (app.log.parent / "watch").iterdir()}
    result = watch(switched, app, record=False, drain=False)
    assert (result["samples"], result["pending"], result["changed"]) == (2, 1, False)
    assert {path: path.read_bytes() for path in (app.log.parent / "watch").iterdir()} == before


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"data_checks": [{"name": "x", "path": "/x", "method": "PUT"}]}, "only looks"),
        ({"data_checks": [{"name": "x", "path": "/x", "expects": 1}]}, "expects is not known"),
        ({"leakage_checks": [{"name": "x"}]}, "one of path and subject"),
        ({"leakage_subjects": [{"name": "x", "store": "sqlite"}]}, "query is missing"),
        ({"triggers": {"latency_ratio_scheduled": 20}}, "latency_ratio"),
        ({"interval": 0.0}, "interval is 0"),
        ({"instances": []}, "nobody to watch"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(
    switched: Online, app: Application, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadInput, match=why):
        watch(switched, app, **more)


# What stops it


class Clock(_watch.Clock):
    """A clock that only moves when somebody waits, or when it is told to."""

    def __init__(self) -> None:
        self.passed = 100.0
        super().__init__(seconds=lambda: self.passed, sleep=self.move)

    def move(self, seconds: float) -> None:
        self.passed += seconds


def test_it_ends_with_its_time_and_keeps_its_rhythm(switched: Online, app: Application) -> None:
    wanted = options(switched, app, duration=11.0, interval=2.0, check_interval=5.0)
    result = _watch.Watch(wanted, False, SILENT, Clock()).run()
    assert (result["stopped_by"], result["duration_ms"]) == ("duration", 11_000)
    assert [sample["elapsed_s"] for sample in samples(app)] == [0, 2, 4, 6, 8, 10, 11]
    assert [sample["elapsed_s"] for sample in samples(app) if sample["data"]] == [0, 6, 11]


def test_a_look_that_takes_long_costs_those_that_it_is_in_the_way_of(switched: Online, app: Application) -> None:
    clock = Clock()
    app.meanwhile = lambda: clock.move(5) if len(app.asked) == 2 else None
    _watch.Watch(options(switched, app, duration=12.0, interval=2.0), False, SILENT, clock).run()
    assert [sample["elapsed_s"] for sample in samples(app)] == [0, 2, 7, 8, 10, 12]


def test_a_write_meanwhile_never_looks_like_damage(switched: Online, app: Application) -> None:
    over = threading.Event()

    def write() -> None:
        with contextlib.closing(psycopg2.connect(switched.tenant.database.dsn)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(f'SET search_path TO "{switched.tenant.schema}"')
            number = 0
            while not over.is_set():
                number += 1
                cursor.execute("INSERT INTO items VALUES ('a', %s, 1, 'new')", (f"n{number}",))
                cursor.execute("UPDATE items SET title = %s WHERE id = 'i0000001'", (f"title {number}",))
                cursor.execute("DELETE FROM items WHERE id = %s", (f"n{number - 3}",))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        result = watch(switched, app, duration=3.0, check_interval=0.0)
    finally:
        over.set()
        writer.join()
    assert result["fired"] == [] and result["replayed"] > 0
    assert len([sample for sample in samples(app) if sample["data"]]) >= 3
    assert all(sample["data"]["failed"] == [] for sample in samples(app) if sample["data"])
    assert trigger(result, "data_mismatch")["verdict"] == "passed"


def test_a_row_that_went_behind_the_capture_stops_it_at_once(switched: Online, app: Application) -> None:
    with watching(switched, app, check_interval=0.0) as found:
        soon(lambda: samples(app), "a look")
        switched.tenant.postgres(
            "SET session_replication_role = replica; DELETE FROM tags WHERE item = 'i0000007'; RESET ALL"
        )
    result = found["result"]
    assert (result["stopped_by"], result["fired"]) == ("trigger", ["data_mismatch"])
    assert "tags" in trigger(result, "data_mismatch")["message"]
    assert result["advice"]["decision"] == "IMMEDIATE"


def test_a_column_that_goes_stops_it(switched: Online, app: Application) -> None:
    watch(switched, app)
    switched.tenant.postgres("ALTER TABLE items DROP COLUMN thumb CASCADE")
    result = watch(switched, app, duration=5.0)
    assert (result["stopped_by"], "migration" in result["fired"]) == ("trigger", True)
    assert "thumb" in trigger(result, "migration")["message"]


def test_another_profiles_row_that_is_seen_stops_it(switched: Online, app: Application) -> None:
    asked = {
        "leakage_subjects": [
            {"name": "foreign", "store": "postgres", "query": "SELECT count(*) AS n FROM tags WHERE source_id <> 'a'"}
        ],
        "leakage_checks": [{"name": "only our rows", "subject": "foreign", "expect_json": {"n": 0}}],
    }
    assert watch(switched, app, **asked)["fired"] == []
    switched.tenant.postgres(
        "SET session_replication_role = replica; INSERT INTO tags VALUES ('b', 'i0000001', 'x'); RESET ALL"
    )
    result = watch(switched, app, duration=5.0, **asked)
    assert result["stopped_by"] == "trigger" and "leakage" in result["fired"]


def test_an_application_that_errs_says_nothing_about_the_data(switched: Online, app: Application) -> None:
    app.answer = {"ok": True, "first": "i0000000"}
    asked = {
        "ready_checks": [{"name": "health", "path": "/health", "expect_status": [200, 503]}],
        "data_checks": [{"name": "list", "path": "/items", "expect_json": {"first": "i0000000"}}],
    }
    assert watch(switched, app, **asked)["fired"] == []
    app.status, app.answer = 503, {}
    result = watch(switched, app, **asked)
    assert result["fired"] == [] and trigger(result, "data_mismatch")["verdict"] == "not_verified"
    app.status, app.answer = 200, {"ok": True, "first": "i0000001"}
    assert watch(switched, app, duration=2.0, **asked)["fired"] == ["data_mismatch"]


def test_an_instance_that_is_not_ready_for_too_long(switched: Online, app: Application) -> None:
    app.status = 503
    short = {"startup_timeout": 0.6, "readiness_failures": 99}
    assert watch(switched, app, duration=0.3, triggers=short, samples_file=str(app.log) + ".a")["fired"] == []
    result = watch(switched, app, duration=20.0, triggers=short)
    assert (result["stopped_by"], result["fired"]) == ("trigger", ["startup"])
    assert result["duration_ms"] < 15_000


def test_an_application_that_gets_no_connection_any_more(switched: Online, app: Application) -> None:
    database = switched.tenant.database
    database.run("DROP ROLE IF EXISTS watched_app; CREATE ROLE watched_app LOGIN PASSWORD 'only' CONNECTION LIMIT 1")
    address = urllib.parse.urlsplit(database.dsn)
    dsn = address._replace(netloc=f"watched_app:only@{address.hostname}:{address.port}").geturl()
    pool = {"pool_percent": 99, "pool_duration": 0.3}
    assert watch(switched, app, app_dsn=dsn, triggers={"pool_percent": 100})["fired"] == []  # its own is the only one
    with contextlib.closing(psycopg2.connect(dsn)):
        result = watch(switched, app, duration=20.0, app_dsn=dsn, triggers=pool)
    assert (result["stopped_by"], result["fired"]) == ("trigger", ["pool"])
    last = samples(app)[-1]
    assert last["postgres_ok"] and last["connections_used"] == last["connections_limit"]
    assert "too many connections for role" in last["postgres_message"] and "only" not in last["postgres_message"]


def test_somebody_who_goes_back_ends_it_quietly(switched: Online, app: Application) -> None:
    with watching(switched, app) as found:
        soon(lambda: samples(app), "a look")
        switched.tenant.postgres("UPDATE items SET title = 'last' WHERE id = 'i0000001'")
        go_back(switched)
    assert (found["result"]["stopped_by"], found["result"]["fired"]) == ("fence_down", [])
    assert switched.rows("sqlite", "items", *TITLE) == [("last",)]


# What it endures


@contextlib.contextmanager
def unreachable(database: Database) -> Iterator[None]:
    """Let nobody into the database, not even the superuser."""
    elsewhere = database.dsn.rpartition("/")[0] + "/postgres"
    name = database.dsn.rpartition("/")[2]

    def say(*statements: str) -> None:
        with contextlib.closing(psycopg2.connect(elsewhere)) as connection:
            connection.autocommit = True
            for statement in statements:
                connection.cursor().execute(statement)

    say(
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )
    try:
        yield
    finally:
        say(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_postgres_gone_and_back_again(switched: Online, app: Application) -> None:
    with watching(switched, app, triggers={"pool_percent": 1000, "failed_instances_percent": 100}) as found:
        soon(lambda: samples(app), "a look")
        with unreachable(switched.tenant.database):
            soon(lambda: not samples(app)[-1]["postgres_ok"], "a look without PostgreSQL")
        switched.tenant.postgres("UPDATE items SET title = 'after that' WHERE id = 'i0000001'")
        soon(lambda: switched.rows("sqlite", "items", *TITLE) == [("after that",)], "the write in SQLite")
        go_back(switched)
    result = found["result"]
    assert (result["stopped_by"], result["fired"]) == ("fence_down", [])
    assert {sample["postgres_ok"] for sample in samples(app)} == {True, False}


def test_postgres_gone_for_too_long(switched: Online, app: Application) -> None:
    with unreachable(switched.tenant.database):
        result = watch(switched, app, duration=20.0, triggers={"connection_timeout": 0.5})
    assert (result["stopped_by"], result["fired"]) == ("trigger", ["connection"])
    assert "not currently accepting connections" in samples(app)[-1]["postgres_message"]
    assert result["problems"]["return_path"]


def test_somebody_who_goes_back_without_postgres_ends_it_too(switched: Online, app: Application) -> None:
    with watching(switched, app, triggers={"connection_timeout": 300}) as found:
        soon(lambda: samples(app), "a look")
        with unreachable(switched.tenant.database):
            soon(lambda: not samples(app)[-1]["postgres_ok"], "a look without PostgreSQL")
            _open_alone(switched)
            soon(lambda: "result" in found, "its end")
    assert found["result"]["stopped_by"] == "fence_down"


def _open_alone(online: Online) -> None:
    with contextlib.closing(_sqlite_writer.open_writable(str(online.tenant.sqlite_path), 5_000)) as target:
        target.execute("BEGIN IMMEDIATE")
        _fence_sqlite.lift(target, online.names)
        target.execute("COMMIT")


def test_a_locked_table_holds_up_no_look_for_long(switched: Online, app: Application) -> None:
    switched.tenant.postgres("UPDATE items SET title = 'locked away' WHERE id = 'i0000001'")
    with contextlib.closing(psycopg2.connect(switched.tenant.database.dsn)) as connection:
        connection.cursor().execute(f'LOCK TABLE "{switched.tenant.schema}".items IN ACCESS EXCLUSIVE MODE')
        result = watch(switched, app)
    assert result["fired"] == [] and "lock timeout" in result["problems"]["return_path"]
    assert watch(switched, app)["problems"] == {}
    assert switched.rows("sqlite", "items", *TITLE) == [("locked away",)]


def test_a_row_that_does_not_fit_is_told_and_ends_nothing(switched: Online, app: Application) -> None:
    switched.tenant.postgres("INSERT INTO items VALUES ('a', 'bad', 1, 'x', 'NaN', NULL)")
    result = watch(switched, app, duration=0.5)
    assert result["stopped_by"] == "duration" and result["pending"] == 1
    assert "items" in result["problems"]["return_path"]
    assert result["fired"] == []


def test_a_file_that_cannot_be_written_leaves_nobody_unwatched(switched: Online, app: Application) -> None:
    watch(switched, app)
    path = app.log.parent / "watch/watch.jsonl"
    switched.tenant.postgres("UPDATE items SET title = 'unkept' WHERE id = 'i0000001'")
    begun = _watch.Watch(options(switched, app, duration=0.5), False, SILENT)
    path.unlink()
    path.mkdir()
    result = begun.run()
    assert result["stopped_by"] == "duration" and "watch.jsonl" in result["problems"]["samples"]
    assert switched.rows("sqlite", "items", *TITLE) == [("unkept",)]


# Exactly at its threshold nothing fires, and one more does


def fires(switched: Online, app: Application, name: str, needs_s: float = 4, **more: Any) -> bool:
    """Watch for ten seconds of a clock of its own, with a look every two; return whether a trigger fired.

    Nothing else may fire, and what fires does so as soon as it has held for so many seconds.
    """
    path = app.log.parent / f"watched_{len(list(app.log.parent.glob('watched_*.jsonl')))}.jsonl"
    wanted = options(switched, app, duration=10.0, interval=2.0, samples_file=str(path), **more)
    result = _watch.Watch(wanted, False, SILENT, Clock()).run()
    found = trigger(result, name)
    # What is ten times as slow is twice as slow as well.
    others = {one for one in result["fired"] if (one, name) != ("latency_scheduled", "latency_immediate")} - {name}
    assert not others, result["triggers"]
    if name not in result["fired"]:
        assert (result["stopped_by"], found["verdict"]) == ("duration", "passed"), found
        return False
    # What can wait does not end the watch.
    ended = ("trigger", needs_s) if found["severity"] == "immediate" else ("duration", 10)
    assert (result["stopped_by"], found["held_s"]) == ended, found
    return True


@contextlib.contextmanager
def requests_of_users(app: Application, *served: tuple[int, int, float]) -> Iterator[None]:
    """Write so many requests with a status and a latency into the log at every look."""

    def serve() -> None:
        for request in served:
            app.served(*request)

    app.meanwhile = serve
    yield
    app.meanwhile = lambda: None


def test_an_instance_may_take_exactly_its_time(switched: Online, app: Application) -> None:
    app.status = 503
    assert fires(switched, app, "startup", 10, triggers={"startup_timeout": 9, "failed_instances_percent": 100})
    assert not fires(switched, app, "startup", triggers={"startup_timeout": 10, "failed_instances_percent": 100})


def test_exactly_a_fifth_of_the_instances_may_be_down(switched: Online, app: Application, tmp_path: Path) -> None:
    with application(tmp_path / "other.jsonl") as other:
        other.status = 503

        def down(number: int) -> list[dict[str, str]]:
            urls = [other.base_url] * number + [app.base_url] * (5 - number)
            return [{"name": f"api-{place}", "base_url": url} for place, url in enumerate(urls)]

        assert not fires(switched, app, "instances", instances=down(1))
        # The third look in a row is after four seconds.
        assert fires(switched, app, "instances", instances=down(2))


@pytest.mark.parametrize("name", ["error_percent", "error_ratio"])
def test_errors_at_exactly_what_is_allowed(switched: Online, app: Application, name: str) -> None:
    # Either of them allows 1 %, one of them for longer than we watch.
    long = {"error_percent_duration": 3600, "error_ratio_duration": 3600}
    given = {
        "baseline": {"requests": {"error_percent": 0.5}},
        "triggers": {"error_percent": 1.0, "error_ratio": 2.0, **long, f"{name}_duration": 4},
    }
    with requests_of_users(app, (198, 200, 5.0), (2, 500, 5.0)):
        assert not fires(switched, app, name, **given)
    with requests_of_users(app, (197, 200, 5.0), (3, 500, 5.0)):
        assert fires(switched, app, name, **given)


@pytest.mark.parametrize(("name", "allowed"), [("latency_scheduled", 200.0), ("latency_immediate", 1000.0)])
def test_latencies_at_exactly_what_is_allowed(switched: Online, app: Application, name: str, allowed: float) -> None:
    given = {"baseline": {"requests": {"latency_ms": {"p95": 100.0}}}, "triggers": {"latency_duration": 4}}
    with requests_of_users(app, (30, 200, allowed)):
        assert not fires(switched, app, name, **given)
    with requests_of_users(app, (30, 200, allowed + 0.1)):
        assert fires(switched, app, name, **given)


def test_what_fired_and_is_over_is_not_forgotten(switched: Online, app: Application) -> None:
    given = {"baseline": {"requests": {"latency_ms": {"p95": 100.0}}}, "triggers": {"latency_duration": 4}}
    looks = iter([250.0] * 4 + [50.0] * 100)
    app.meanwhile = lambda: [app.served(30, 200, latency) for latency in [next(looks)]]
    wanted = options(switched, app, duration=60.0, interval=2.0, **given)
    result = _watch.Watch(wanted, False, SILENT, Clock()).run()
    assert (result["fired"], result["stopped_by"]) == ([], "duration")
    (over,) = result["fired_meanwhile"]
    assert (over["name"], over["verdict"], over["severity"]) == ("latency_scheduled", "failed", "scheduled")
    assert over["observed"] > 200.0 and "latency_scheduled" not in result["fired"]


def test_postgres_may_be_gone_for_exactly_its_time(switched: Online, app: Application) -> None:
    with unreachable(switched.tenant.database):
        assert fires(switched, app, "connection", 10, triggers={"connection_timeout": 9})
        assert not fires(switched, app, "connection", triggers={"connection_timeout": 10})


def test_exactly_so_many_connections_may_be_used(switched: Online, app: Application) -> None:
    database = switched.tenant.database
    database.run("DROP ROLE IF EXISTS watched_app; CREATE ROLE watched_app LOGIN PASSWORD 'only' CONNECTION LIMIT 10")
    address = urllib.parse.urlsplit(database.dsn)
    dsn = address._replace(netloc=f"watched_app:only@{address.hostname}:{address.port}").geturl()
    app.delay = 0.2  # until PostgreSQL has seen the last one off
    given = {"app_dsn": dsn, "triggers": {"pool_percent": 90, "pool_duration": 4}}
    with contextlib.ExitStack() as held:
        for _number in range(8):  # the watch's own is the ninth of ten
            held.enter_context(contextlib.closing(psycopg2.connect(dsn)))
        assert not fires(switched, app, "pool", **given)
        held.enter_context(contextlib.closing(psycopg2.connect(dsn)))
        assert fires(switched, app, "pool", **given)


def test_more_than_the_schema_had_is_no_loss(switched: Online, app: Application) -> None:
    watch(switched, app)
    switched.tenant.postgres("CREATE INDEX one_more ON items (title)")
    assert watch(switched, app)["fired"] == []
    switched.tenant.postgres("DROP INDEX one_more")
    assert watch(switched, app)["fired"] == []
    switched.tenant.postgres("ALTER TABLE tags DROP CONSTRAINT tags_pkey")
    assert watch(switched, app)["fired"] == ["migration"]


def test_one_row_behind_the_capture_is_damage_and_one_that_is_captured_is_none(
    switched: Online, app: Application
) -> None:
    one = "DELETE FROM tags WHERE item = 'i0000007'"
    switched.tenant.postgres(one)
    result = watch(switched, app, drain=False)
    assert (result["fired"], result["pending"], trigger(result, "data_mismatch")["verdict"]) == ([], 1, "passed")
    switched.tenant.postgres(f"SET session_replication_role = replica; {one.replace('7', '8')}; RESET ALL")
    assert watch(switched, app, drain=False)["fired"] == ["data_mismatch"]


# How it goes on


def test_a_watch_that_was_interrupted_goes_on(switched: Online, app: Application) -> None:
    watch(switched, app)
    assert watch(switched, app)["samples"] == 2
    assert len({sample["run_started"] for sample in samples(app)}) == 2


def test_samples_of_an_earlier_switch_are_put_aside(switched: Online, app: Application) -> None:
    watch(switched, app)
    result = watch(switched, app, since="2026-11-22T10:00:00.000Z")
    assert result["samples"] == 1 == len(samples(app))
    aside = app.log.parent / "watch/watch-20261121T093102410Z.jsonl"
    assert len(aside.read_text("utf-8").splitlines()) == 1


def test_a_profile_that_was_cut_over_offline(switched: Online, app: Application) -> None:
    switched.tenant.postgres("UPDATE items SET title = 'stays' WHERE id = 'i0000001'")
    result = watch(switched, app, online=False)
    assert (result["changed"], result["pending"], result["fired"]) == (False, None, [])
    assert trigger(result, "data_mismatch")["verdict"] == "not_verified"
    assert switched.rows("sqlite", "items", *TITLE) == [("title 1",)]


def test_its_progress_is_told(switched: Online, app: Application, tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    watch(switched, app, duration=0.6, progress_file=str(path))
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["phase"] for line in lines] == ["watch"] * len(lines)
    said = [line["text"] for line in lines if line["state"] == "running"]
    assert said and "0 requests (0 with 5xx)" in said[0] and "no trigger is near" in said[0]
    assert lines[-1]["state"] == "done"
