# SPDX-License-Identifier: GPL-3.0-or-later
"""The local stack: up, again, down, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from _ansible import wait_for
from _haproxy import require_haproxy
from api_client import DEMO_DIR, Api, clean_environment
from local_stack.errors import StackError
from local_stack.processes import is_alive, stack_processes
from local_stack.seed import content_digest, seed_database
from local_stack.stack import Stack
from local_stack.unprivileged import AS_ROOT, Launcher


def api_of(stack: Stack, profile: str) -> Api:
    """Return the API process of a profile."""
    return Api(stack.describe()["profiles"][profile]["base_url"], profile, Path(), {})


def test_everything_answers(stack: Stack) -> None:
    for profile, items in (("assets_1", 400), ("assets_2", 100)):
        api = api_of(stack, profile)
        assert api.get("/stats").json["counts"]["items"] == items
        assert api.get("/health").json["env_hint"] == "SQLITE"
    states = stack.status()
    assert states["postgres"] in ("STARTING", "RUNNING")
    assert states["api-assets_1-standby"] == states["api-assets_2-standby"] == "STOPPED"


def test_up_again_is_a_noop(stack: Stack) -> None:
    before = [path.read_text(encoding="utf-8") for path in (stack.layout.description, stack.layout.secrets)]
    assert stack.up() is False
    assert [path.read_text(encoding="utf-8") for path in (stack.layout.description, stack.layout.secrets)] == before


def test_description_holds_no_secret(stack: Stack) -> None:
    text = stack.layout.description.read_text(encoding="utf-8")
    assert not [
        value for name, value in stack.secrets().items() if name.endswith(("password", "dsn")) and value in text
    ]
    profile = stack.describe()["profiles"]["assets_1"]
    for service in (profile, profile["standby"]):
        assert Path(service["settings_file"]).is_file()
        assert stat.S_IMODE(Path(service["settings_file"]).stat().st_mode) == 0o600
    for path in (stack.layout.secrets, stack.layout.pgpass, stack.layout.supervisor_config):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_roles(stack: Stack) -> None:
    secrets = stack.secrets()
    with closing(psycopg2.connect(secrets["dsn"])) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolsuper, rolcreaterole, rolcanlogin FROM pg_roles"
            " WHERE rolname LIKE 'sx%' ORDER BY rolname"
        )
        assert cursor.fetchall() == [("sx_admin", False, False, True), ("sx_app", False, False, True)]
        cursor.execute(
            "SELECT pg_has_role('sx_admin', 'sx_app', 'USAGE'), has_schema_privilege('public', 'CREATE'),"
            " has_database_privilege('sx', 'CREATE'), pg_get_userbyid(datdba), version()"
            " FROM pg_database WHERE datname = 'sx'"
        )
        *facts, version = cursor.fetchone()
        assert facts == [True, True, True, "sx_admin"]
        assert version.startswith("PostgreSQL 18")
    with closing(psycopg2.connect(secrets["superuser_dsn"])) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW unix_socket_directories")
        assert cursor.fetchone() == ("",)


def test_clients_work_with_the_password_file(stack: Stack) -> None:
    postgres = stack.describe()["postgres"]
    where = {"host": "host", "port": "port", "dbname": "dbname", "user": "app_user"}
    done = subprocess.run(
        [
            f"{postgres['bin_dir']}/psql",
            "-XAtw",
            " ".join(f"{key}={postgres[name]}" for key, name in where.items()),
            "-c",
            "SELECT 1",
        ],
        env={**clean_environment(), "PGPASSFILE": postgres["pgpass"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr


def test_standby_starts_on_request_in_the_mode_of_its_settings_file(stack: Stack) -> None:
    standby = stack.describe()["profiles"]["assets_1"]["standby"]
    control = stack.describe()["supervisor"]["supervisorctl"]
    settings_file = Path(standby["settings_file"])
    original = settings_file.read_text(encoding="utf-8")
    settings_file.write_text(original.replace("=SQLITE", "=POSTGRES_PRIMARY"), encoding="utf-8")
    try:
        started = subprocess.run(
            [*control, "start", standby["service"]], check=False, capture_output=True, text=True, timeout=30
        )
        assert "started" in started.stdout, started.stdout + started.stderr
        # It counts as started after a second, whether it listens by then or not.
        wait_for(lambda: stack.answering()[standby["service"]], "the standby to answer")
        answer = Api(standby["base_url"], "assets_1", Path(), {}).get("/health")
        assert answer.status == 400 and "No schema mapping" in answer.json["detail"]
        assert api_of(stack, "assets_1").get("/health").status == 200
    finally:
        subprocess.run([*control, "stop", standby["service"]], check=False, capture_output=True, timeout=30)
        settings_file.write_text(original, encoding="utf-8")
    assert stack.status()[standby["service"]] == "STOPPED"


def test_seed_is_deterministic_and_awkward(tmp_path: Path) -> None:
    items = {"assets_1": 2000, "assets_2": 500}
    digests = set()
    for name in ("a.db", "b.db"):
        counts = seed_database(tmp_path / name, items)
        digests.add(content_digest(tmp_path / name))
    assert len(digests) == 1
    assert counts["videos"] == 2500 and all(counts.values())
    assert counts["user_meta"] == counts["video_notes"] == 125
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        both = connection.execute(
            "SELECT COUNT(*), SUM(a.caption IS b.caption) FROM videos a JOIN videos b USING (id)"
            " WHERE a.source_id='assets_1' AND b.source_id='assets_2'"
        ).fetchone()
        assert both[0] == 50 and both[1] < 5
        for condition in ("=''", "IS NULL", "='\\N'", "LIKE '%' || char(10) || '\\.' || char(10) || '%'"):
            column = "author_name" if condition != "IS NULL" else "signature"
            found = connection.execute(f"SELECT COUNT(*) FROM videos WHERE {column} {condition}").fetchone()[0]
            assert found > 0, condition
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.slow
def test_down_leaves_nothing_running_and_up_resumes(tmp_path: Path) -> None:
    home_before = sorted(entry.name for entry in Path.home().iterdir())
    one = Stack(tmp_path / "a stack's folder")
    assert one.up(items={"only": 40}, profiles=["only"]) is True
    ports = one.describe()["ports"]
    pids = stack_processes(one.layout.state_dir)
    assert len(pids) > 5
    api = api_of(one, "only")
    item_id = api.get("/items?limit=1").json["items"][0]["id"]
    api.put(f"/items/{item_id}/note-md", {"markdown": "kept"})

    assert one.down() is True
    assert not [pid for pid in pids if is_alive(pid)]
    assert stack_processes(one.layout.state_dir) == []
    assert one.down() is False
    assert set(one.status().values()) == {"DOWN"}

    assert one.up() is True
    assert one.describe()["ports"] == ports
    assert api.get(f"/items/{item_id}/note").json["markdown"] == "kept"

    # The service manager is killed: its programs live on, and the next 'up' puts that in order.
    os.kill(int(one.layout.supervisor_pid.read_text(encoding="ascii")), signal.SIGKILL)
    assert one.up() is True
    assert api.get("/health").status == 200

    one.seed()
    assert api.get(f"/items/{item_id}/note").json["markdown"] != "kept"

    assert one.down(purge=True) is True
    assert not one.layout.state_dir.exists()
    assert one.down(purge=True) is False
    assert sorted(entry.name for entry in Path.home().iterdir()) == home_before


def test_up_finishes_what_a_failed_one_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Stack(tmp_path / "state")
    monkeypatch.setattr(
        "local_stack.stack.seed_database", lambda *_args: (_turn for _turn in ()).throw(StackError("stopped"))
    )
    with pytest.raises(StackError, match="stopped"):
        broken.up(items=40)
    monkeypatch.undo()
    try:
        assert broken.up(items=40) is True
        assert broken.answering()["api-assets_1"] is True
    finally:
        broken.down(purge=True)


@pytest.mark.slow
def test_a_service_that_cannot_start_is_explained(tmp_path: Path) -> None:
    broken = Stack(tmp_path / "state")
    broken.up(items=20, profiles=["only"])
    try:
        broken.down()
        settings_file = Path(broken.describe()["profiles"]["only"]["settings_file"])
        original = settings_file.read_text(encoding="utf-8")
        settings_file.write_text(original + "SX_API_PORT=ninety\n", encoding="utf-8")
        with pytest.raises(StackError, match=r"(?s)api-only does not answer.*ninety"):
            broken.up()
        settings_file.write_text(original, encoding="utf-8")
        broken.up()  # the service manager may have tried again by itself meanwhile
        assert broken.answering()["api-only"] is True
    finally:
        broken.down(purge=True)


@pytest.mark.slow
def test_a_router_in_front(tmp_path: Path) -> None:
    require_haproxy()
    one = Stack(tmp_path / "state")
    one.up(items=40, router=True)
    try:
        description = one.describe()
        router, ports = description["router"], description["ports"]
        assert set(one.status().values()) == {"RUNNING"}
        api = Api(router["base_url"], "assets_1", Path(), {})
        assert api.get("/health").json["env_hint"] == "SQLITE"
        # The second, already warm instance: it has no schema yet.
        standby = Api(description["profiles"]["assets_1"]["standby"]["base_url"], "assets_1", Path(), {})
        assert "No schema mapping" in standby.get("/health").json["detail"]

        def command(text: str) -> None:
            with closing(socket.socket(socket.AF_UNIX)) as control:
                control.connect(router["socket"])
                control.sendall(f"{text}\n".encode())
                assert control.recv(1000).strip() == b""

        command(f"set map {router['map']} assets_1 {router['backends']['assets_1']['postgres']}")
        assert api.get("/health").status == 400
        assert api.as_source("assets_2").get("/health").json["source_id"] == "assets_2"
        # As in the application, the query wins over the header.
        assert api.as_source("assets_2").get("/health?source_id=assets_1").status == 400
        assert api.get("/health?source_id=assets_2").json["source_id"] == "assets_2"
        assert [api.as_source(name).get("/health").status for name in ("nobody", None)] == [404, 404]

        command(f"set map {router['map']} assets_1 {router['backends']['assets_1']['sqlite']}")
        before = Path(router["map"]).read_text(encoding="utf-8")
        Path(router["map"]).write_text(before.replace(" api-assets_1\n", " api-assets_1-standby\n"), encoding="utf-8")
        assert one.up() is False
        assert one.down() is True and stack_processes(one.layout.state_dir) == []
        assert one.up() is True
        assert one.describe()["ports"] == ports
        assert api.get("/health").status == 400  # the map is kept
    finally:
        one.down(purge=True)
    assert not one.layout.state_dir.exists()


def test_without_haproxy_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_stack.binaries.find_haproxy", lambda: None)
    with pytest.raises(StackError, match="apt-get install haproxy"):
        Stack(tmp_path / "state").up(items=20, router=True)


def test_a_folder_too_deep_for_the_socket_of_a_router(tmp_path: Path) -> None:
    require_haproxy()
    deep = Stack(tmp_path / ("deep" * 20))
    try:
        with pytest.raises(StackError, match="too long a name"):
            deep.up(items=20, router=True)
    finally:
        deep.down(purge=True)


def test_purge_spares_a_folder_with_other_things_in_it(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(StackError, match="not deleting"):
        Stack(tmp_path).down(purge=True)
    assert (tmp_path / "thesis.txt").exists()


def test_without_a_stack_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="run 'up' first"):
        Stack(tmp_path / "none").describe()


def test_command_line(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "local_stack", *arguments, "--state-dir", str(tmp_path / "state")],
            cwd=DEMO_DIR,
            # What the caller has set for an application of his own must not reach the demo's.
            env={**clean_environment(), "SX_DB_BACKEND_MODE": "POSTGRES_PRIMARY", "DB_READ_ONLY": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    try:
        up = run("up", "--items", "40", "--profiles", "one")
        assert up.returncode == 0, up.stderr
        assert "http://127.0.0.1:" in up.stdout
        assert "nothing to do" in run("up").stdout
        assert "api-one-standby" in run("ports").stdout
        assert "RUNNING" in run("status").stdout
        api = api_of(Stack(tmp_path / "state"), "one")
        assert api.get("/health").json["env_hint"] == "SQLITE"
    finally:
        assert run("down", "--purge").returncode == 0
    assert "nothing was running" in run("down").stdout
    assert run("status").returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for PostgreSQL")
@pytest.mark.parametrize("launcher", AS_ROOT[:2], ids=lambda launcher: launcher.name)
def test_as_root_postgres_runs_as_somebody_else(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_stack.unprivileged.AS_ROOT", (launcher,))
    one = Stack(tmp_path / "state")
    try:
        one.up(items=20, profiles=["only"])
    except StackError as error:
        if "nothing here can start it" in str(error):
            pytest.skip(str(error))
        raise
    else:
        assert one.describe()["postgres"]["launcher"] == launcher.name
    finally:
        one.down(purge=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become an ordinary user")
def test_as_an_ordinary_user() -> None:
    # Not below tmp_path, where the other user may not go.
    folder = Path(tempfile.mkdtemp(prefix="stack-user-"))
    try:
        folder.chmod(0o755)
        shutil.copytree(DEMO_DIR, folder / "demo", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "home").mkdir()
        os.chown(folder / "home", 1000, 1000)
        user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
        packages = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
        environment = {**clean_environment(), "PYTHONPATH": packages, "HOME": str(folder / "home")}

        def run(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*user, python, *arguments],
                cwd=folder / "demo",
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        pythons = [path for path in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")) if path]
        # The second start tells: the first one may still have used what root may see.
        probe = (
            "import fastapi, psycopg2, supervisor, dotenv, subprocess, sys;"
            " subprocess.run([sys.executable, '-c', 'import encodings, fastapi'], check=True)"
        )
        usable = [python for python in pythons if run(python, "-c", probe).returncode == 0]
        if not usable:
            pytest.skip("no Python with the demo's packages that an ordinary user may run")
        state_dir = ["--state-dir", str(folder / "home" / "state")]
        up = run(usable[0], "-m", "local_stack", "up", "--items", "40", *state_dir)
        try:
            assert up.returncode == 0, up.stderr
            assert "(plain)" in up.stdout
            description = json.loads((folder / "home" / "state" / "stack.json").read_text(encoding="utf-8"))
            assert (folder / "home" / "state").stat().st_uid == 1000
            answer = Api(description["profiles"]["assets_1"]["base_url"], "assets_1", Path(), {}).get("/stats")
            assert answer.json["counts"]["items"] == 40
        finally:
            down = run(usable[0], "-m", "local_stack", "down", "--purge", *state_dir)
        assert down.returncode == 0, down.stderr
        assert list((folder / "home").iterdir()) == []
    finally:
        shutil.rmtree(folder)
