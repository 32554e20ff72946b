# SPDX-License-Identifier: GPL-3.0-or-later
"""Every trigger of the window, by its real cause: where it fires the profile is on SQLite again, with every write.

One cutover is made, by the modules, kept, and put back before each test. Each test starts cutover.yml, which finds it
finished and watches, or the part of it that comes then, as the whole takes longer on a busy machine; then it does what
the trigger is there for.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from _ansible import wait_for
from _cutover import HOST, World, new_world, succeeded
from faults.modules import run_module
from faults.soak_steps import RESTART, ModuleSteps
from psycopg2 import sql

SCHEMA = "sx_assets_1"
SERVICE = "api-assets_1"
# What cutover.yml does for a finished cutover, without planning and trying it again.
WATCH = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: sxops.pg_cutover.profile}
    - ansible.builtin.import_role: {name: sxops.pg_cutover.service}
    - ansible.builtin.import_role: {name: sxops.pg_cutover.window}
"""
# So that nothing but what a test is about can fire, however slow the machine is.
NEVER = {
    "startup_timeout": 3600,
    "readiness_failures": 9999,
    "error_ratio_duration": 3600,
    "error_percent_duration": 3600,
    "latency_duration": 3600,
    "connection_timeout": 3600,
    "pool_duration": 3600,
    "min_requests": 5,
}
# How the application did before, as far as latencies go; the floor is far below what the tests make of it.
BASELINE = {
    "requests": {"requests": 1000, "error_percent": 0.0, "latency_ms": {"p50": 5.0, "p95": 10.0, "p99": 20.0}},
    "probes": {"count": 10, "errors": 0, "latency_ms": {"p50": 5.0, "p95": 10.0, "p99": 20.0}},
}


@dataclass
class Window:
    """A window that is over: how its play ended, what it printed, and what the ledger holds of it."""

    code: int
    log: str
    ledger: list[dict[str, Any]]

    @property
    def facts(self) -> dict[str, Any]:
        return [entry for entry in self.ledger if entry.get("phase") == "window"][-1]["facts"]

    def trigger(self, name: str) -> dict[str, Any]:
        return next(one for one in self.facts["triggers"] if one["name"] == name)


@dataclass
class Finished:
    """A cutover that has just been finished, and can be had again as it was."""

    world: World
    saved: Path
    items: list[str]

    def save(self) -> None:
        self.saved.mkdir()
        with (
            contextlib.closing(self.world.sqlite()) as live,
            contextlib.closing(sqlite3.connect(self.saved / "live.db")) as copy,
        ):
            live.backup(copy)
        shutil.copy2(self.world.settings(), self.saved / "settings")
        shutil.copytree(self.world.folder(), self.saved / "ledger")
        self.world.control("stop", SERVICE)
        with self._server() as cursor:
            cursor.execute("CREATE DATABASE sx_saved TEMPLATE sx")
        self.world.control("start", SERVICE)

    def restore(self) -> None:
        self.world.control("start", "postgres")
        wait_for(self._answers, "PostgreSQL")
        self.world.control("stop", SERVICE)
        with self._server() as cursor:
            cursor.execute("SELECT datacl::text FROM pg_database WHERE datname = 'sx'")
            (rights,) = cursor.fetchone() or (None,)
            cursor.execute("DROP DATABASE sx WITH (FORCE)")
            cursor.execute("CREATE DATABASE sx TEMPLATE sx_saved OWNER sx_admin")
            cursor.execute("UPDATE pg_database SET datacl = %s::aclitem[] WHERE datname = 'sx'", (rights,))
        with (
            contextlib.closing(sqlite3.connect(self.saved / "live.db")) as copy,
            contextlib.closing(self.world.sqlite()) as live,
        ):
            copy.backup(live)
        shutil.copy2(self.saved / "settings", self.world.settings())
        shutil.rmtree(self.world.folder())
        shutil.copytree(self.saved / "ledger", self.world.folder())
        # They saw what this ledger has not: to the next report it would be one that was cut short.
        shutil.rmtree(Path(self.world.description["state_dir"]) / "reports", ignore_errors=True)
        self.world.control("start", SERVICE)
        wait_for(self._serves, "the application on PostgreSQL")

    def _serves(self) -> bool:
        with contextlib.suppress(OSError, AssertionError):
            return self.world.backend() == "postgres_primary"
        return False

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg2.Error), self._server():
            return True
        return False

    @contextlib.contextmanager
    def _server(self) -> Iterator[Any]:
        with contextlib.closing(psycopg2.connect(self.world.secrets["superuser_dsn"], dbname="postgres")) as connection:
            connection.autocommit = True
            yield connection.cursor()

    # What happens in a window

    def samples(self) -> list[dict[str, Any]]:
        path = self.world.folder() / "watch.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def window(
        self,
        happens: Callable[[Finished], AbstractContextManager[object]],
        triggers: dict[str, Any],
        rest: float = 120,
        playbook: str = WATCH,
        **profile: Any,
    ) -> Window:
        """Run a playbook, and let something happen once it watches, until it has ended."""
        changes = {"triggers": {**NEVER, **triggers}, "stabilization_window": 3600, "drain_interval": 0.5, **profile}
        variables = {
            **self.world.profiles(**changes),
            "profile_window_rest": rest,
            "window_check_interval": 1,
        }
        with self.world.running(playbook, **variables) as process:

            def looked() -> bool:
                assert process.poll() is None, self.world.log()[-6000:]
                return bool(self.samples())

            wait_for(looked, "the first look", 300)
            self.note(0, "written in the window")
            wait_for(self._drained, "the write in SQLite")
            with happens(self):
                code = process.wait(240)
        return Window(code, self.world.log(), self.world.ledger())

    def _drained(self) -> bool:
        return self.world.notes("sqlite").get(self.items[0]) == "written in the window"

    def note(self, number: int, text: str) -> None:
        answer = self.world.api().put(f"/items/{self.items[number]}/note-md", {"markdown": text})
        assert answer.status == 200, answer.text

    @contextlib.contextmanager
    def superuser(self) -> Iterator[Any]:
        """Open a cursor whose writes are not captured."""
        with self.world.postgres() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(SCHEMA)))
            yield cursor

    def healthy_on_sqlite(self, window: Window, trigger: str) -> None:
        """See that the way back is complete, that the operator was told, and that the ledger knows why."""
        assert window.code != 0, window.log[-6000:]
        assert self.world.backend() == "sqlite"
        self.note(1, "written on SQLite again")
        assert self.world.notes("sqlite")[self.items[1]] == "written on SQLite again"
        assert self.world.notes("sqlite")[self.items[0]] == "written in the window"
        said = " ".join(window.log.split())
        assert f"trigger {trigger} (seed 00" in said and "The profile went back by itself: SQLite" in said, said[-3000:]
        assert "Traceback" not in said and "is undefined" not in said
        assert trigger in window.facts["fired"] and window.facts["stopped_by"] == "trigger"
        (watched, back) = [entry for entry in window.ledger if entry["kind"] == "run_started"][-2:]
        assert (watched["verb"], back["verb"]) == ("watch", "rollback")
        asked = back["parameters"]
        # Another profile's row is one too many as well, so the data differ, which is named first.
        first = next(one for one in window.facts["triggers"] if one["name"] in window.facts["fired"])
        assert (asked["automatic"], asked["trigger"]) == (True, first["name"])
        assert first["name"] == trigger or trigger == "leakage"
        assert asked["trigger_message"] == first["message"] and asked["fired_at"]
        ends = [entry for entry in window.ledger if entry["kind"] == "run_ended"][-2:]
        assert [end["outcome"] for end in ends] == ["failed", "completed"]
        assert ends[1]["store"] == "sqlite"
        assert not (self.world.folder() / "lock.json").exists()

    def reported(self, window: Window, trigger: str) -> None:
        """See that the report names the trigger, the live store and the next command, and what the way back cost."""
        report = self.world.report()
        back = [entry for entry in window.ledger if entry["kind"] == "run_started"][-1]["parameters"]
        assert report["verdict"] == "rolled_back" and report["chain"]["verified"]
        assert report["sentence"] == f"The trigger {back['trigger']} fired, and the profile was brought back to SQLite."
        assert report["live"]["store"] == "sqlite" and report["live"]["proven"]
        assert report["next"]["command"] == "ansible-playbook cutover.yml -e source_id=assets_1"
        assert [run["verb"] for run in report["runs"]] == ["cutover", "watch", "rollback"]
        assert report["runs"][-1]["automatic"] and trigger in report["watch"]["fired"]
        assert report["watch"]["stopped_by"] == "trigger"
        assert [trigger] == [one["name"] for one in report["watch"]["triggers"] if one["name"] == trigger]
        told = [text for text in report["messages"] if text["phase"] == "window"]
        assert f"trigger {trigger} (seed 00" in told[-1]["text"]
        objectives = report["objectives"]
        (scenario,) = [one for one in objectives["scenarios"] if one["applies"]]
        assert (scenario["name"], objectives["applies"]) == ("automated", "automated")
        assert objectives["rto_s"] > 0 and objectives["rto_text"] == "from the trigger to SQLite, proven"
        assert scenario["rto"] == "passed" == scenario["rpo"], objectives
        if trigger == "connection":  # what it had taken by then cannot be counted, the time can
            assert objectives["rpo_rows"] is None and objectives["rpo_s"] > 0
        else:
            assert (objectives["rpo_rows"], objectives["rpo_s"]) == (0, 0)
        path = Path(self.world.description["state_dir"]) / "reports" / f"assets_1-{report['run_id']}.html"
        assert f"The report: {path}." in " ".join(window.log.split())
        page = path.read_text(encoding="utf-8")
        assert report["sentence"] in page and "Automated Rollback" in page


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("window")
    with new_world(folder / "state", items={"assets_1": 120, "assets_2": 40}) as world:
        with contextlib.closing(world.sqlite()) as connection:
            query = "SELECT id FROM videos WHERE source_id = 'assets_1' ORDER BY id LIMIT 20"
            items = [item for (item,) in connection.execute(query)]
        cut_over(world, folder / "snapshots")
        made = Finished(world, folder / "saved", items)
        made.save()
        yield made


def cut_over(world: World, snapshots: Path) -> None:
    """Do what cutover.yml does, and write down what it writes down, by the modules alone, which takes seconds."""
    of_ledger = {"source_id": "assets_1", "state_dir": str(world.folder().parent)}

    def record(action: str, **options: Any) -> Any:
        return run_module("cutover_ledger", **of_ledger, action=action, **options)["run_id"]

    run = record("begin", verb="cutover")
    record("record", run_id=run, phase="baseline", status="passed", facts=BASELINE)
    ModuleSteps(world.description, world.secrets, RESTART, snapshots).cut_over("assets_1")
    record("record", run_id=run, store="postgres")
    record("end", run_id=run, outcome="completed", store="postgres")


@pytest.fixture
def cutover(finished: Finished) -> Finished:
    """The cutover as it was just after it was finished."""
    finished.restore()
    return finished


# What happens


@contextlib.contextmanager
def stopped(cutover: Finished) -> Iterator[None]:
    """The instance does not run."""
    cutover.world.control("stop", SERVICE)
    yield


@contextlib.contextmanager
def all_the_time(*things: Callable[[], object]) -> Iterator[None]:
    """Something is done over and over, by several at once; that it fails while things change is nobody's fault."""
    over = threading.Event()

    def work(thing: Callable[[], object]) -> None:
        while not over.is_set():
            with contextlib.suppress(OSError, psycopg2.Error):
                thing()

    with ThreadPoolExecutor(len(things)) as pool:
        for thing in things:
            pool.submit(work, thing)
        try:
            yield
        finally:
            over.set()


def errors(cutover: Finished) -> AbstractContextManager[None]:
    """Users send numbers that PostgreSQL cannot hold, and get a 500; others read."""
    item = cutover.items[2]
    api = cutover.world.api()

    def bad() -> None:
        api.put(f"/items/{item}/meta", {"rating": 99999999999})
        time.sleep(0.05)

    def good() -> None:
        api.get("/items?limit=1")
        time.sleep(0.05)

    return all_the_time(bad, good)


@contextlib.contextmanager
def slow(cutover: Finished) -> Iterator[None]:
    """A table is locked for half a second, again and again, while users read it."""
    api = cutover.world.api()

    def lock() -> None:
        with cutover.world.postgres() as cursor:
            cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(SCHEMA, "videos")))
            time.sleep(0.5)
        time.sleep(0.05)

    with all_the_time(lock, *[lambda: api.get("/items?limit=1")] * 4):
        yield


@contextlib.contextmanager
def no_postgres(cutover: Finished) -> Iterator[None]:
    """PostgreSQL is stopped."""
    cutover.world.control("stop", "postgres")
    yield


@contextlib.contextmanager
def many_connections(cutover: Finished) -> Iterator[None]:
    """Somebody opens connections and does not close them."""
    with contextlib.ExitStack() as held:
        for _number in range(120):
            held.enter_context(contextlib.closing(psycopg2.connect(cutover.world.secrets["dsn"])))
        yield


@contextlib.contextmanager
def damage(cutover: Finished) -> Iterator[None]:
    """A row is deleted behind the capture."""
    with cutover.superuser() as cursor:
        cursor.execute("DELETE FROM videos WHERE id = %s", (cutover.items[5],))
        assert cursor.rowcount == 1
    yield


@contextlib.contextmanager
def leak(cutover: Finished) -> Iterator[None]:
    """A row of another profile comes into the schema."""
    with cutover.superuser() as cursor:
        cursor.execute("INSERT INTO videos (id, source_id) VALUES ('foreign', 'assets_2')")
    yield


@contextlib.contextmanager
def lost_index(cutover: Finished) -> Iterator[None]:
    """An index of the schema is dropped."""
    with cutover.superuser() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisprimary AND indrelid IN"
            " (SELECT oid FROM pg_class WHERE relnamespace = %s::regnamespace) AND NOT EXISTS"
            " (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid) ORDER BY 1 LIMIT 1",
            (SCHEMA,),
        )
        (name,) = cursor.fetchone()
        cursor.execute(f"DROP INDEX {name}")
    yield


FIRING = {
    "startup": (stopped, {"startup_timeout": 1}),
    "instances": (stopped, {"readiness_failures": 2}),
    "migration": (lost_index, {}),
    "error_ratio": (errors, {"error_ratio_duration": 2, "error_percent": 100}),
    "error_percent": (errors, {"error_percent_duration": 2}),
    "latency_immediate": (slow, {"latency_duration": 2}),
    "connection": (no_postgres, {"connection_timeout": 1}),
    "pool": (many_connections, {"pool_percent": 50, "pool_duration": 1}),
    "data_mismatch": (damage, {}),
    "leakage": (leak, {}),
}


@pytest.mark.parametrize("name", list(FIRING))
def test_where_it_fires_the_profile_is_on_sqlite_again(cutover: Finished, name: str) -> None:
    happens, triggers = FIRING[name]
    window = cutover.window(happens, triggers, playbook="cutover.yml" if name == "data_mismatch" else WATCH)
    cutover.healthy_on_sqlite(window, name)
    cutover.reported(window, name)
    if name == "connection":
        assert "PostgreSQL could not be reached" in " ".join(window.log.split())


def test_one_that_asks_for_a_scheduled_rollback_is_told_and_nothing_is_done(cutover: Finished) -> None:
    triggers = {"latency_duration": 1, "latency_ratio_immediate": 100_000}
    window = cutover.window(slow, triggers, rest=8)
    said = " ".join(window.log.split())
    assert window.code == 0, said[-3000:]
    assert (window.facts["fired"], window.facts["stopped_by"]) == (["latency_scheduled"], "duration")
    assert "SCHEDULED: The window of assets_1" in said and "rollback.yml -e source_id=assets_1" in said
    assert window.facts["advice"]["decision"] == "SCHEDULED"
    assert cutover.world.backend() == "postgres_primary"
    assert cutover.world.last_end()["outcome"] == "failed"


def test_without_auto_rollback_people_go_back(cutover: Finished) -> None:
    window = cutover.window(damage, {}, playbook="cutover.yml", auto_rollback=False)
    said = " ".join(window.log.split())
    assert window.code != 0 and window.facts["fired"] == ["data_mismatch"]
    report = cutover.world.report()
    assert (report["verdict"], report["stopped"]["verb"], report["stopped"]["phase"]) == ("fired", "watch", "window")
    assert report["live"]["store"] == "postgres" and report["live"]["proven"]
    assert report["next"]["command"] == "ansible-playbook rollback.yml -e source_id=assets_1 -e advise=true"
    assert not report["objectives"]["rolled_back"]
    assert "auto_rollback is off, so nothing was done: PostgreSQL, schema sx_assets_1, is still the live store" in said
    assert cutover.world.backend() == "postgres_primary"
    advice = succeeded(cutover.world.play("rollback.yml", variables={"advise": True}))
    (told,) = advice.results("Say what the decision tree says", HOST)
    assert told["msg"][0].startswith("IMMEDIATE: go back now: ansible-playbook rollback.yml -e source_id=assets_1")
    assert "Is there data loss or corruption? yes" in told["msg"][1]
    assert cutover.world.backend() == "postgres_primary" and advice.stats["changed"] == 0


def test_somebody_who_goes_back_meanwhile_is_not_disturbed(cutover: Finished) -> None:
    @contextlib.contextmanager
    def goes_back(cutover: Finished) -> Iterator[None]:
        succeeded(cutover.world.play("rollback.yml"))
        yield

    window = cutover.window(goes_back, {})
    assert window.code == 0, window.log[-6000:]
    assert (window.facts["stopped_by"], window.facts["fired"]) == ("fence_down", [])
    assert "somebody has gone back to SQLite" in " ".join(window.log.split())
    assert [entry["verb"] for entry in window.ledger if entry["kind"] == "run_started"][-2:] == ["rollback", "watch"]
    assert cutover.world.last_end()["outcome"] == "completed"
    assert cutover.world.backend() == "sqlite"


# Just below; exactly at the thresholds, and one more, is in test_stabilization_watch.py


@dataclass
class Below:
    """A window in which everything goes wrong a little, and nothing enough, and what a user wrote all the time."""

    window: Window
    written: list[str]


@pytest.fixture(scope="module")
def below(finished: Finished) -> Below:
    finished.restore()
    written: list[str] = []
    triggers = {
        "startup_timeout": 60,
        "failed_instances_percent": 100,
        "readiness_failures": 1,
        "error_ratio_duration": 2,
        "error_floor_percent": 80,
        "error_percent": 80,
        "error_percent_duration": 2,
        "latency_duration": 2,
        "latency_ratio_scheduled": 5000,
        "latency_ratio_immediate": 5000,
        "connection_timeout": 60,
        "pool_percent": 85,
        "pool_duration": 1,
    }

    def write() -> None:
        text = f"note {len(written)} of a window"
        if finished.world.api().put(f"/items/{finished.items[7]}/note-md", {"markdown": text}).status == 200:
            written.append(text)

    def lasted(cutover: Finished) -> bool:
        """Say whether a few looks have seen it for longer than any of these triggers needs."""
        seen = [one["elapsed_s"] for one in cutover.samples() if one["errors_5xx"] and one["connections_used"] > 100]
        return len(seen) > 2 and seen[-1] - seen[0] > 4

    @contextlib.contextmanager
    def a_little(cutover: Finished) -> Iterator[None]:
        with cutover.world.postgres() as cursor:  # one more than was expected
            cursor.execute(sql.SQL("CREATE INDEX one_more ON {} (caption)").format(sql.Identifier(SCHEMA, "videos")))
        with many_connections(cutover), errors(cutover), slow(cutover), all_the_time(write):
            wait_for(lambda: len(written) > 12 and lasted(cutover), "trouble that lasts, and a dozen writes", 120)
        # An instance and PostgreSQL go and come back.
        cutover.world.control("stop", SERVICE)
        cutover.world.control("stop", "postgres")
        looks = len(cutover.samples())
        wait_for(lambda: not cutover.samples()[-1]["postgres_ok"] and len(cutover.samples()) > looks, "a bad look", 60)
        cutover.world.control("start", "postgres")
        cutover.world.control("start", SERVICE)
        yield

    return Below(finished.window(a_little, triggers, rest=60), written)


@pytest.mark.parametrize("name", [*FIRING, "latency_scheduled"])
def test_just_below_nothing_happens(finished: Finished, below: Below, name: str) -> None:
    assert below.window.code == 0, below.window.log[-6000:]
    assert (below.window.facts["stopped_by"], below.window.facts["fired"]) == ("duration", [])
    assert below.window.trigger(name)["verdict"] != "failed"
    assert finished.world.backend() == "postgres_primary"


def test_what_was_a_little_wrong_was_seen(finished: Finished, below: Below) -> None:
    seen = finished.samples()
    assert any(sample["errors_5xx"] for sample in seen)
    assert any((sample["latency_p95_ms"] or 0) > 100 for sample in seen)
    assert any(sample["connections_used"] and sample["connections_used"] > 100 for sample in seen)
    assert not all(sample["postgres_ok"] for sample in seen) and not all(
        ready for sample in seen for ready in sample["ready"].values()
    )
    assert not any(sample["data"] and sample["data"]["failed"] for sample in seen)
    assert any(sample["data"] and sample["data"]["checked"] for sample in seen)


def test_somebody_who_writes_all_the_time_never_looks_like_damage(finished: Finished, below: Below) -> None:
    seen = [sample["data"] for sample in finished.samples() if sample["data"]]
    assert len(below.written) > 12 and len(seen) > 3
    assert not any(data["failed"] for data in seen)
    assert below.window.trigger("data_mismatch")["verdict"] == "passed"
    assert finished.world.notes("sqlite")[finished.items[7]] == below.written[-1]
