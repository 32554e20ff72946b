# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The samples of one switch: those that an earlier part of the watch left, and those that are added."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re

from . import _watch_sample
from ._errors import CutoverError
from ._watch_sample import Sample


class Samples:
    """The file of samples, one JSON object in a line, readable for its owner only.

    Args:
        path: The file.
        since: The time of the switch. Samples of another one are put aside under its time, so that no trigger fires
            for what an earlier attempt met.
        keeps: Whether anything is written.
    """

    def __init__(self, path: str, since: str, keeps: bool) -> None:
        self._path = path
        self._since = since
        self._keeps = keeps
        self.samples: list[Sample] = []

    def begin(self) -> None:
        """Read what is there.

        Raises:
            CutoverError: It cannot be read, or not be put aside.
        """
        found = _watch_sample.read(self._path)
        self.samples = [sample for sample in found if sample.run_started == self._since]
        if not self._keeps:
            return
        try:
            folder = pathlib.Path(self._path).parent
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if found and not self.samples:
                os.replace(self._path, self._aside(found[-1].run_started))
        except OSError as error:
            raise CutoverError(
                f"The samples of an earlier switch cannot be put aside from {self._path}",
                error.strerror or str(error),
                "Make its folder writable, or move the file away.",
            ) from error

    def add(self, sample: Sample) -> None:
        """Add a sample.

        Raises:
            CutoverError: It cannot be written.
        """
        self.samples.append(sample)
        if self._keeps:
            _watch_sample.append(self._path, sample)

    def sha256(self) -> str | None:
        """Return the digest of the file, for the ledger; None when there is none."""
        try:
            return hashlib.sha256(pathlib.Path(self._path).read_bytes()).hexdigest()
        except OSError:
            return None

    def _aside(self, since: str) -> pathlib.Path:
        path = pathlib.Path(self._path)
        return path.with_name(f"{path.stem}-{re.sub(r'[^0-9TZ]', '', since)}{path.suffix}")
