# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a watch that goes on has to know beside its samples: how far the logs were read, and how the schema looked."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import tempfile
import typing as t

from ._errors import CutoverError
from ._file_replacement import write_through

_SUFFIX = ".state"


@dataclasses.dataclass
class State:
    """C(positions) by the path of a request log; C(shape) as L(_schema_shape.shape) saw it at the first look."""

    since: str
    positions: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    shape: dict[str, t.Any] | None = None


def read(samples_file: str, since: str) -> State:
    """Return what was kept of this watch; nothing when there is none, it is of another one, or cannot be read."""
    try:
        found = json.loads(_path(samples_file).read_text("utf-8"))
        if found["since"] == since:
            return State(since, dict(found["positions"]), found["shape"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return State(since)


def write(samples_file: str, state: State) -> None:
    """Keep it, readable for its owner only.

    Raises:
        CutoverError: It cannot be written.
    """
    path = _path(samples_file)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            write_through(handle, json.dumps(dataclasses.asdict(state)).encode())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise CutoverError(f"The file {path} cannot be written", error.strerror or str(error)) from error


def _path(samples_file: str) -> pathlib.Path:
    return pathlib.Path(samples_file + _SUFFIX)
