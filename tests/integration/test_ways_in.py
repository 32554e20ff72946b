# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies through every playbook, and the two ways in beside the snapshot: CSV files and the application's import."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _ansible import ROOT, Playbook
from _cutover import HOST, TABLES, World, message, new_world, refused, succeeded

# What an application's own import may do: read the connection from the settings file in its folder, copy every row.
IMPORTER = """\
import json, sqlite3, sys, psycopg2
settings = dict(line.split("=", 1) for line in open(".env").read().splitlines() if "=" in line)
source_id, snapshot = sys.argv[1:3]
assert settings["SX_DB_BACKEND_MODE"] == "POSTGRES_PRIMARY"
source = sqlite3.connect(snapshot)
target = psycopg2.connect(settings["SX_POSTGRES_DSN"])
with target, target.cursor() as cursor:
    cursor.execute("SET search_path TO sx_" + source_id + ", public")
    for table in json.loads(sys.argv[3]):
        rows = source.execute("SELECT * FROM " + table + " WHERE source_id = ?", (source_id,))
        names = [entry[0] for entry in rows.description]
        places = ", ".join(["%s"] * len(names))
        cursor.execute("DELETE FROM " + table)
        cursor.executemany("INSERT INTO " + table + " (" + ", ".join(names) + ") VALUES (" + places + ")", rows)
    label, enabled = source.execute("SELECT label, enabled FROM sources WHERE id = ?", (source_id,)).fetchone()
    cursor.execute("UPDATE sources SET label = %s, enabled = %s WHERE id = %s", (label, enabled, source_id))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(tmp_path_factory.mktemp("ways_in") / "state", items={"assets_1": 60, "assets_2": 60}) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("given")


def plan_of(run: Playbook) -> list[str]:
    """Return the lines of the plan."""
    (found,) = run.results("Print the plan", HOST)
    return list(found["msg"])


def facts_of(world: World, phase: str, source_id: str) -> dict[str, Any]:
    """Return what the ledger keeps of a phase that has passed."""
    entries = [entry for entry in world.ledger(source_id) if entry["kind"] == "phase" and entry["phase"] == phase]
    return dict(next(entry["facts"] for entry in reversed(entries) if entry["status"] == "passed"))


# Policies


@pytest.fixture(scope="module")
def rotten(world: World) -> str:
    """A row of assets_1 that PostgreSQL cannot hold; its key as the messages show it."""
    with contextlib.closing(world.sqlite()) as connection:
        row = "source_id = 'assets_1' ORDER BY author_id LIMIT 1"
        (author,) = connection.execute(f"SELECT author_id FROM csv_authors_raw WHERE {row}").fetchone()
        connection.execute(
            "UPDATE csv_authors_raw SET row_json = ? WHERE source_id = 'assets_1' AND author_id = ?", ("a\0b", author)
        )
    return f"(source_id=assets_1, author_id={author})"


KEPT: dict[str, Any] = {"policies": {"nul_character": "quarantine"}}


def test_a_value_that_cannot_travel_is_refused_by_the_plan(world: World, rotten: str) -> None:
    run = world.play("cutover.yml", check=True)
    refused(run, "csv_authors_raw.row_json: NUL character in text in 1 row(s)", rotten)


def test_a_wrong_policy_is_refused_by_the_first_task(world: World) -> None:
    policies = {"nul_charakter": "quarantine", "too_long": "convert", "duplicate_key": "quarantine"}
    run = world.play("cutover.yml", variables=world.profiles(policies=policies))
    text = refused(run, "Validation of arguments failed") + run.process.stdout
    for said in (
        "nul_charakter",
        "value of too_long must be one of: refuse, quarantine, got: convert",
        "value of duplicate_key must be one of: refuse, got: quarantine",
    ):
        assert said in text
    assert len([task for task in run.tasks if task["outcome"] != "skipped"]) == 1


def test_the_plan_shows_everything(world: World, rotten: str) -> None:
    before = world.everything()
    lines = plan_of(succeeded(world.play("cutover.yml", check=True, variables=world.profiles(**KEPT))))
    assert world.everything() == before
    rows = sum(map(len, world.sqlite_rows().values())) - 1
    videos = lines.index("table videos load 60 rows")
    conversions = [line.strip() for line in lines[videos + 1 : videos + 5] if line.startswith("  ")]
    assert any(line.startswith("TEXT to text: source_id, id, platform") for line in conversions)
    assert any(line.startswith("INTEGER to bigint: followers, hearts") for line in conversions)
    for line in (
        "Set aside where a value cannot travel: nul_character.",
        "Refused: every other value that cannot travel as it is. The plan found none.",
        f"set aside csv_authors_raw.row_json: NUL character in text in 1 row(s), key {rotten}",
        f"In all {rows} rows, and 1 set aside.",
    ):
        assert line in lines, lines
    assert any(line.startswith("left out videos_fts: virtual table") for line in lines)


@pytest.fixture(scope="module")
def with_policies(world: World, rotten: str) -> Playbook:
    return succeeded(world.play("cutover.yml", variables=world.profiles(**KEPT)))


def test_what_is_set_aside_is_said_and_kept_in_the_ledger(world: World, rotten: str, with_policies: Playbook) -> None:
    (told,) = with_policies.results("Say which rows were set aside", HOST)
    assert told["msg"][1:] == [
        f"csv_authors_raw.row_json: NUL character in text (nul_character) in 1 row(s), key {rotten}"
    ]
    for phase in ("load", "parity"):
        (kept,) = facts_of(world, phase, "assets_1")["quarantine"]
        assert (kept["table"], kept["rows"], kept["first_keys"]) == ("csv_authors_raw", 1, [rotten])
    with world.postgres() as cursor:
        cursor.execute("SELECT row_key, problem_class FROM sxops_cutover.quarantine")
        assert cursor.fetchall() == [(rotten, "nul_character")]
    assert world.backend() == "postgres_primary"


def test_a_rollback_names_it_as_a_row_that_only_sqlite_has(world: World, rotten: str, with_policies: Playbook) -> None:
    said = message(succeeded(world.play("rollback.yml", variables=world.profiles(**KEPT))))
    assert "nothing that was written there is missing" in said
    assert "ONLY IN SQLITE: 1 row(s) that the cutover set aside by policy" in said
    assert f"csv_authors_raw.row_json (nul_character) {rotten}" in said
    assert world.backend() == "sqlite"


# CSV files


def export(world: World, folder: Path, source_id: str) -> list[dict[str, str]]:
    """Write the profile's rows as an exact export does: every value between quotes, NULL as nothing."""
    files = []
    with contextlib.closing(world.sqlite()) as connection:
        for table in (*TABLES, "sources"):
            rows = connection.execute(
                f"SELECT * FROM {table} WHERE {'id' if table == 'sources' else 'source_id'} = ?", (source_id,)
            )
            path = folder / f"{table}.csv"
            with path.open("w", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerow([column[0] for column in rows.description])
                for row in rows:
                    fields = ["" if value is None else '"' + str(value).replace('"', '""') + '"' for value in row]
                    stream.write(",".join(fields) + "\r\n")
            files.append({"table": table, "path": str(path)})
    return files


@pytest.fixture(scope="module")
def files(world: World, folder: Path) -> list[dict[str, str]]:
    return export(world, folder, "assets_2")


def by_csv(world: World, files: list[dict[str, str]]) -> dict[str, Any]:
    return world.profiles("assets_2", load={"method": "csv", "files": files})


def test_a_method_without_what_it_needs_is_refused_before_anything_happens(world: World) -> None:
    run = world.play("cutover.yml", variables=world.profiles(load={"method": "csv"}))
    refused(run, "its load by the method csv needs files", "Nothing was changed")


def test_a_faulty_file_is_refused_by_the_plan(world: World, folder: Path, files: list[dict[str, str]]) -> None:
    (folder / "faulty.csv").write_text("source_id,id\nassets_2,a,b\n")
    given = [{"table": "videos", "path": str(folder / "faulty.csv")}, *files[1:]]
    run = world.play("cutover.yml", "assets_2", variables=by_csv(world, given))
    refused(run, "faulty.csv, line 2, cannot be read: it has 3 field(s)", "Nothing was changed by this run.")


def test_files_that_lack_a_row_of_sqlite_end_on_sqlite_with_its_name(
    world: World, folder: Path, files: list[dict[str, str]]
) -> None:
    lines = (folder / "job_queue.csv").read_text().splitlines(keepends=True)
    (folder / "short.csv").write_text("".join(lines[:-1]))
    given = [file if file["table"] != "job_queue" else {**file, "path": str(folder / "short.csv")} for file in files]
    run = world.play("cutover.yml", "assets_2", variables=by_csv(world, given))
    refused(run, "stopped in phase parity", "missing job_queue (id=", "SQLite is live")
    assert world.backend("assets_2") == "sqlite"


def test_files_that_hold_every_row_bring_the_profile_over(world: World, files: list[dict[str, str]]) -> None:
    before = world.sqlite_rows("assets_2")
    planned = plan_of(succeeded(world.play("cutover.yml", "assets_2", check=True, variables=by_csv(world, files))))
    assert "Converted where a value needs it: boolean_text, hex_as_bytes, text_as_number." in planned
    assert any(line == f"  videos from {files[0]['path']}" for line in planned), planned
    assert "  TEXT to integer: followers, hearts, videos_count, is_private, bookmarked" in planned, planned
    succeeded(world.play("cutover.yml", "assets_2", variables=by_csv(world, files)))
    assert world.postgres_rows("sx_assets_2") == before
    kept = facts_of(world, "load", "assets_2")
    assert kept["method"] == "csv" and {file["table"] for file in kept["files"]} == {*TABLES, "sources"}
    succeeded(world.play("rollback.yml", "assets_2", variables=by_csv(world, files)))


# The application's own import


def by_command(world: World, command: list[str], **more: Any) -> dict[str, Any]:
    return world.profiles("assets_2", load={"method": "command", "command": command, **more})


def own_import(world: World, path: str) -> dict[str, Any]:
    """Return the variables for the reference API's import."""
    python = world.description["python"]
    command = [python, "-m", "reference_api", "import", "--csv", path, "--source", "{source_id}"]
    return by_command(world, command, environment={"PYTHONPATH": str(ROOT / "demo")})


def test_an_import_that_fails_ends_on_sqlite_and_says_what_to_do(world: World, folder: Path) -> None:
    run = world.play("cutover.yml", "assets_2", variables=own_import(world, str(folder / "none.csv")))
    refused(
        run,
        "stopped in phase load",
        "The application's own import (",
        "No such file or directory",
        "is the live store",
        "the same run imports again on top of it",
        "-e cutover_archive_schema=true",
    )
    assert world.backend("assets_2") == "sqlite"


def test_an_import_that_writes_other_values_is_found_out_by_column(world: World, files: list[dict[str, str]]) -> None:
    run = world.play("cutover.yml", "assets_2", variables=own_import(world, files[0]["path"]))
    text = refused(run, "stopped in phase parity", "different videos (source_id=assets_2, id=", "SQLite is live")
    assert "csv_row_hash" in text and "updated_at" in text
    assert world.backend("assets_2") == "sqlite"


def test_an_exact_import_is_proven_and_not_run_again(world: World, folder: Path) -> None:
    script = folder / "importer.py"
    script.write_text(IMPORTER)
    tables = '["' + '","'.join(TABLES) + '"]'
    variables = by_command(world, [sys.executable, str(script), "{source_id}", "{snapshot}", tables])
    before = world.sqlite_rows("assets_2")
    # The rows are there, and the run stops behind the load.
    broken = {**variables, "cutover_profiles": [dict(entry) for entry in variables["cutover_profiles"]]}
    for entry in broken["cutover_profiles"]:
        entry["smoke_checks"] = [{"name": "impossible", "path": "/health", "expect_status": [299]}]
    stopped = world.play("cutover.yml", "assets_2", variables=broken)
    refused(stopped, "stopped in phase smoke")
    assert facts_of(world, "load", "assets_2")["imported"] is True
    assert world.postgres_rows("sx_assets_2") == before

    done = succeeded(world.play("cutover.yml", "assets_2", variables=variables))
    assert any(line.startswith("The application's own command imports the rows: ") for line in plan_of(done))
    assert facts_of(world, "load", "assets_2")["imported"] is False
    (skipped,) = [task for task in done.tasks if task["task"].endswith("Run the application's own import")]
    assert skipped["outcome"] == "skipped"
    assert world.postgres_rows("sx_assets_2") == before
    assert world.backend("assets_2") == "postgres_primary"
