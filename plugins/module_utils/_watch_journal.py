# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a watch keeps on the disk: its samples, and what it needs beside them to go on after an interruption.

Both belong to one switch. What an earlier one left is put aside, so that no trigger fires for what an earlier attempt
met. All of it is readable for its owner only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import re
import tempfile
import typing as t

from ._file_replacement import write_through
from ._watch_sample import Sample, SamplesError, append_sample, read_samples

_SUFFIX = ".state"
_UNKNOWN = "unknown"


@dataclasses.dataclass
class State:
    """C(positions) by the path of a request log; C(shape) as L(_schema_shape.shape) saw it at the first look."""

    since: str
    positions: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    shape: dict[str, t.Any] | None = None


class WatchJournal:
    """The files of one profile's watch.

    Args:
        path: The file of the samples; the state lies beside it.
        since: The time of the switch.
        keeps: Whether anything is written.
    """

    def __init__(self, path: str, since: str, keeps: bool) -> None:
        self._path = pathlib.Path(path)
        self._beside = pathlib.Path(path + _SUFFIX)
        self._keeps = keeps
        self._written = ""
        self.samples: list[Sample] = []
        self.state = State(since)

    def begin(self) -> None:
        """Read what there is of this switch, and put aside what is of another one.

        Raises:
            SamplesError: It cannot be read, or not be put aside.
        """
        of, found = self._read_state()
        if found is not None and of == self.state.since:
            self.state = found
            self.samples = read_samples(str(self._path))
        if not self._keeps:
            return
        with _writing(self._path):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if of != self.state.since and self._path.exists():
                when = re.sub(r"[^0-9TZ]", "", of) or _UNKNOWN
                self._path.replace(self._path.with_name(f"{self._path.stem}-{when}{self._path.suffix}"))
        self._keep_state()

    def add(self, sample: Sample) -> None:
        """Add a sample, and keep what is needed to go on after it.

        Raises:
            SamplesError: It cannot be written.
        """
        self.samples.append(sample)
        if self._keeps:
            append_sample(str(self._path), sample)
            self._keep_state()

    def sha256(self) -> str | None:
        """Return the digest of the samples' file, for the ledger; None when there is none."""
        try:
            return hashlib.sha256(self._path.read_bytes()).hexdigest()
        except OSError:
            return None

    def _read_state(self) -> tuple[str, State | None]:
        try:
            found = json.loads(self._beside.read_text("utf-8"))
            return str(found["since"]), State(str(found["since"]), dict(found["positions"]), found["shape"])
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or it cannot be used
            return "", None

    def _keep_state(self) -> None:
        text = json.dumps(dataclasses.asdict(self.state), sort_keys=True)
        if text == self._written:
            return
        with _writing(self._beside):
            handle, name = tempfile.mkstemp(prefix=f".{self._beside.name}.", dir=self._beside.parent)
            new = pathlib.Path(name)
            try:
                write_through(handle, text.encode())
                new.replace(self._beside)
            except BaseException:
                new.unlink()
                raise
        self._written = text


@contextlib.contextmanager
def _writing(path: pathlib.Path) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SamplesError(
            f"The file {path} of the watch cannot be written",
            error.strerror or str(error),
            "Make room or give the folder to the user who runs the watch.",
        ) from error
