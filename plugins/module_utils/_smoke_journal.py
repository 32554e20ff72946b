# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a round trip will change, kept on disk before it does, so that a crash in between can be put right."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import time
import typing as t

from ._errors import CutoverError
from ._smoke_store import StoredRow

_FORMAT = 1


@dataclasses.dataclass
class Trip:
    """One round trip with every placeholder filled, and (once read) what has to be there again afterwards.

    C(rows) holds the row of each store before the write, C(canary_rows) after it; a store that could not be
    looked into is not among them. C(landed) are the stores that the last canary was found in.
    """

    name: str
    source_id: str | None
    read_path: str
    write_method: str
    write_path: str
    body: t.Any
    from_read: str | None
    field: str
    value_at: str
    volatile: list[str]
    table: str
    column: str
    where: dict[str, t.Any]
    token: str = ""
    original: t.Any = None
    document: t.Any = None
    rows: dict[str, StoredRow | None] = dataclasses.field(default_factory=dict)
    canary_rows: dict[str, StoredRow | None] = dataclasses.field(default_factory=dict)
    landed: list[str] = dataclasses.field(default_factory=list)


class Journal:
    """One file that exists only while a canary may stand in a store (0600: it holds a row of the application)."""

    def __init__(self, path: str) -> None:
        self.path = pathlib.Path(path)

    def write(self, trip: Trip) -> None:
        """Keep the trip, durably, before its first write.

        Raises:
            CutoverError: The file cannot be written; nothing has been sent then.
        """
        content = json.dumps({"format": _FORMAT, "trip": dataclasses.asdict(trip)}, default=_encode)
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(self.path)
            self._sync_folder()
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise CutoverError(
                f"The journal {self.path} cannot be written",
                error.strerror or str(error),
                "No canary is written without it: make its folder writable, or give another journal.",
            ) from error

    def read(self) -> Trip | None:
        """Return the trip that an interrupted run left behind, or None.

        Raises:
            CutoverError: The file is there and cannot be used.
        """
        try:
            content = json.loads(self.path.read_text("utf-8"), object_hook=_decode)
            if content["format"] != _FORMAT:
                raise ValueError(f"its format is {content['format']!r}")
            return Trip(**content["trip"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CutoverError(
                f"The journal {self.path} of an interrupted round trip cannot be read",
                str(error),
                "Look for rows with the text 'pg_cutover canary' in the application's data, put them right, and "
                "remove that file.",
            ) from error

    def age_s(self) -> float:
        """Return how many seconds ago it was written; 0 when it is not there any more."""
        try:
            return time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def clear(self) -> None:
        """Forget the trip: everything is as it was."""
        try:
            self.path.unlink()
            self._sync_folder()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise CutoverError(
                f"The journal {self.path} cannot be removed", error.strerror or str(error), "Remove it by hand."
            ) from error

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _encode(value: t.Any) -> t.Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": bytes(value).hex()}
    raise TypeError(f"{type(value).__name__} has no place in a journal")


def _decode(value: dict[str, t.Any]) -> t.Any:
    return bytes.fromhex(value["$bytes"]) if value.keys() == {"$bytes"} else value
