# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The ledger: an append-only journal of one profile's runs, each line carrying the digest of the one before.

A line counts once its line ending is on disk. What stands behind the last line ending is an append that a crash
cut short: it was never acknowledged, so it is set aside, never read and never lost without a word.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import json
import os
import pathlib
import typing as t

from ._errors import BadInput, LedgerError
from ._instant import instant_text
from ._profile import check_source_id
from ._redact import MASK, redact

Entry = t.Dict[str, t.Any]  # noqa: UP006 - evaluated at run time

FILE_NAME = "ledger.jsonl"
FIRST_PREVIOUS = "0" * 64
REMEDY = (
    "The lines before it still hold. Find out who wrote to it; to go on without it, move the file aside and keep it as "
    "evidence."
)
_SECRET_NAMES = ("password", "passwd", "secret", "token", "api_key", "apikey")


@dataclasses.dataclass(frozen=True)
class Reading:
    """The whole entries of a ledger, and how many bytes of an unfinished line stand behind them."""

    entries: tuple[Entry, ...]
    torn_bytes: int


@dataclasses.dataclass(frozen=True)
class Examination:
    """The same, of a ledger that may be broken: then the entries before C(line), and what is wrong there."""

    entries: tuple[Entry, ...]
    torn_bytes: int
    line: int | None = None
    fault: str = ""


def ledger_folder(state_dir: str, source_id: str) -> pathlib.Path:
    """Return the folder of one profile's ledger and lock; it may not exist yet.

    Raises:
        ProfileError: The id is refused (it becomes a folder name).
    """
    return pathlib.Path(state_dir) / check_source_id(source_id)


def make_folder(folder: pathlib.Path) -> None:
    """Create the folder, and the state folder above it, both with mode 0700, where they are missing.

    Raises:
        LedgerError: That is not possible.
    """
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _failed(folder, "cannot be created", error) from error


def now_text() -> str:
    """Return the time as every entry carries it: UTC, ISO 8601, milliseconds."""
    return instant_text(datetime.datetime.now(datetime.timezone.utc))


def without_secrets(value: t.Any) -> t.Any:
    """Return the value without passwords in connection strings, and without texts under names of secrets."""
    if isinstance(value, dict):
        return {
            str(key): MASK
            if isinstance(item, str) and item and any(name in str(key).lower() for name in _SECRET_NAMES)
            else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    return redact(value)


def read(folder: pathlib.Path) -> Reading:
    """Return the ledger of the folder, its chain proven; empty when there is none. Nothing is written.

    Raises:
        LedgerError: It cannot be read, or a line is damaged, missing or was changed; the line is named.
    """
    path = folder / FILE_NAME
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)
            return _parse(path, stream.read())
    except (FileNotFoundError, NotADirectoryError):
        return Reading((), 0)
    except OSError as error:
        raise _failed(path, "cannot be read", error) from error


def append(
    folder: pathlib.Path, kind: str, run_id: str, fields: t.Mapping[str, t.Any]
) -> tuple[list[Entry], str | None]:
    """Write one entry, on disk before this returns.

    When an unfinished line is found, it is set aside and a note about it is written first. Returned are the
    entries written, and a warning in that case.

    Args:
        folder: The profile's folder; it exists.
        kind: C(run_started), C(phase), C(switched), C(note) or C(run_ended).
        run_id: The run that the entry belongs to.
        fields: What else the entry says; passwords in it are masked.

    Raises:
        BadInput: A field cannot be written as JSON.
        LedgerError: The chain is broken, or writing failed; the ledger is then as it was.
    """
    path = folder / FILE_NAME
    try:
        created = not path.exists()
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            content = stream.read()
            reading = _parse(path, content)
            seq, written, warning = len(reading.entries) + 1, [], None
            size = len(content) - reading.torn_bytes
            last = content[:size].splitlines()[-1] if size else None
            if reading.torn_bytes:
                aside = _set_aside(folder, content[size:])
                stream.truncate(size)
                os.fsync(stream.fileno())
                warning = (
                    f"The last line of {path} was unfinished ({reading.torn_bytes} bytes, a crash while writing); "
                    f"it was set aside in {aside}"
                )
                note = {"event": "torn_line", "message": warning}
                last, size, entry = _write(stream, last, size, seq, "note", run_id, note)
                written.append(entry)
            entry = _write(stream, last, size, seq + len(written), kind, run_id, fields)[-1]
            written.append(entry)
        if created:
            _sync_folder(folder)
    except OSError as error:
        raise _failed(path, "cannot be written", error) from error
    return written, warning


def _write(
    stream: t.BinaryIO, last: bytes | None, size: int, seq: int, kind: str, run_id: str, fields: t.Mapping[str, t.Any]
) -> tuple[bytes, int, Entry]:
    entry: Entry = {"seq": seq, "time": now_text(), "run_id": run_id, "kind": kind}
    entry.update({key: value for key, value in without_secrets(dict(fields)).items() if value is not None})
    entry["previous"] = FIRST_PREVIOUS if last is None else hashlib.sha256(last).hexdigest()
    try:
        entry["digest"] = digest_of(entry)
    except (TypeError, ValueError) as error:
        raise BadInput(f"A {kind} entry cannot be written to the ledger", str(error)) from error
    line = json.dumps(entry, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
    try:
        stream.seek(size)
        stream.write(line + b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    except OSError:
        with contextlib.suppress(OSError):  # when even this fails, the next append finds a torn line
            os.ftruncate(stream.fileno(), size)
        raise
    return line, size + len(line) + 1, entry


def digest_of(entry: t.Mapping[str, t.Any]) -> str:
    """Return the SHA-256 (hex) over the entry without its own digest: JSON with sorted keys and no spaces."""
    content = {key: value for key, value in entry.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _parse(path: pathlib.Path, content: bytes) -> Reading:
    found = examine(content)
    if found.fault:
        raise LedgerError(
            f"Ledger {path} is broken at line {found.line}",
            found.fault,
            REMEDY,
            ledger_file=str(path),
            line=found.line,
        )
    return Reading(found.entries, found.torn_bytes)


def examine(content: bytes) -> Examination:
    """Return the entries of a ledger's bytes up to the first line that does not hold, and what is wrong there."""
    size = content.rfind(b"\n") + 1
    entries: list[Entry] = []
    previous = FIRST_PREVIOUS
    for number, line in enumerate(content[:size].split(b"\n")[:-1], start=1):
        try:
            entry = json.loads(line)
            fault = _fault(entry, number, previous)
        except ValueError:
            fault = "it is not JSON"
        if fault:
            return Examination(tuple(entries), 0, number, fault)
        entries.append(entry)
        previous = hashlib.sha256(line).hexdigest()
    return Examination(tuple(entries), len(content) - size)


def _fault(entry: t.Any, number: int, previous: str) -> str:
    if not isinstance(entry, dict):
        return "it is not an entry"
    if entry.get("seq") != number:
        return f"its number is {entry.get('seq')}, so a line is missing or was added"
    if entry.get("previous") != previous:
        return "it does not follow the line before it, so that one was changed or removed"
    if entry.get("digest") != digest_of(entry):
        return "it was changed after it was written (its digest does not match)"
    return ""


def _set_aside(folder: pathlib.Path, torn: bytes) -> pathlib.Path:
    stamp = now_text().replace(":", "").replace("-", "").replace(".", "")
    number = 1
    while True:
        aside = folder / (f"{FILE_NAME}.torn-{stamp}" + (f"-{number}" if number > 1 else ""))
        try:
            handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            number += 1
            continue
        with os.fdopen(handle, "wb") as stream:
            stream.write(torn)
            stream.flush()
            os.fsync(stream.fileno())
        _sync_folder(folder)
        return aside


def _sync_folder(folder: pathlib.Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _failed(path: pathlib.Path, what: str, error: OSError) -> LedgerError:
    return LedgerError(
        f"Ledger {path} {what}",
        error.strerror or str(error),
        "Make room, or run this as a user who may write there (become: true); state_dir names another place.",
    )
