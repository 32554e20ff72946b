# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Names in a PostgreSQL schema: what is free, what fits, and what is found out while they are given."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t

from ._errors import SchemaRefused
from ._profile import MAX_IDENTIFIER_BYTES

_SYSTEM_COLUMNS = ("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")
_DIGEST = 8


class Findings:
    """What stands in the way of a translation, and what is there in another form."""

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.notes: list[str] = []

    @contextlib.contextmanager
    def refusing(self, what: str) -> t.Iterator[None]:
        """Note, under the name of what it is about, that something cannot be translated, and go on."""
        try:
            yield
        except SchemaRefused as error:
            self.refusals.append(f"{what}: {error.what}")

    def check_name(self, what: str, name: str, column: bool = False) -> None:
        """Refuse the name of a table or column that PostgreSQL would cut or does not take."""
        if not name:
            self.refusals.append(f"{what} {name!r}: PostgreSQL knows no empty name")
        elif len(name.encode()) > MAX_IDENTIFIER_BYTES:
            self.refusals.append(
                f"{what} {name!r}: the name is longer than {MAX_IDENTIFIER_BYTES} bytes, PostgreSQL would cut it"
            )
        elif column and name in _SYSTEM_COLUMNS:
            self.refusals.append(f"{what} {name!r}: every table of PostgreSQL has a system column of that name")


class Names:
    """Gives names to what nothing refers to by name: indexes, sequences, constraints. Tables share their room."""

    def __init__(self, taken: t.Iterable[str]) -> None:
        self._taken = set(taken)

    def give(self, wanted: str) -> str:
        """Return the wanted name, or one made of it and a digest where it does not fit or is taken."""
        given = wanted
        turn = 0
        while len(given.encode()) > MAX_IDENTIFIER_BYTES or given in self._taken:
            digest = hashlib.sha256(f"{wanted}\n{turn}".encode()).hexdigest()[:_DIGEST]
            room = MAX_IDENTIFIER_BYTES - _DIGEST - 1
            given = f"{wanted.encode()[:room].decode(errors='ignore')}_{digest}"
            turn += 1
        self._taken.add(given)
        return given
