# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Ask a running HAProxy, and tell it, by its runtime socket: one command per connection, answered until it closes."""

from __future__ import annotations

import csv
import pathlib
import re
import socket
import time
import typing as t

from ._errors import BadInput, RouterError

_TCP = re.compile(r"(?P<host>127(?:\.\d{1,3}){3}|localhost|\[::1\]):(?P<port>\d{1,5})\Z")
_UNKNOWN_MAP = "Unknown map identifier"
_MISSING_ENTRY = "entry not found"
_DENIED = "Permission denied"
_BACKENDS = "show stat -1 2 -1"  # of all proxies, the lines of the backends


class RuntimeSocket(t.NamedTuple):
    """Where a running HAProxy takes commands.

    Attributes:
        address: The path of a unix socket, or V(host:port) on this machine (the socket knows no password).
        timeout_s: How long one command may take, the connection included.
    """

    address: str
    timeout_s: float

    def entries(self, map_file: str, key: str) -> tuple[str, ...]:
        """Return the values that the process has for a key of a map, the one that it uses first.

        Raises:
            RouterError: It cannot be asked, or has no such map.
        """
        answer = self._ask(f"show map {map_file}")
        if answer.startswith(_UNKNOWN_MAP):
            raise self._unknown(map_file)
        self._expect(answer, answer.startswith("0x") or not answer, "show map")
        parts = (line.split(" ", 2) for line in answer.splitlines())
        return tuple(found[2] if len(found) > 2 else "" for found in parts if len(found) > 1 and found[1] == key)

    def set_entry(self, map_file: str, key: str, value: str) -> None:
        """Give a key of a map another value, in every entry that it has, or a first entry.

        Raises:
            RouterError: It cannot be told, or refused.
        """
        answer = self._ask(f"set map {map_file} {key} {value}")
        if answer.lower().startswith(_MISSING_ENTRY):
            answer = self._ask(f"add map {map_file} {key} {value}")
        if answer.startswith(_UNKNOWN_MAP):
            raise self._unknown(map_file)
        self._expect(answer, not answer, "set map")

    def backends(self) -> dict[str, str]:
        """Return the status of every backend of the process by its name, for example V(UP) or V(DOWN).

        Raises:
            RouterError: It cannot be asked.
        """
        answer = self._ask(_BACKENDS)
        self._expect(answer, answer.startswith("# pxname,"), "show stat")
        rows = csv.DictReader(answer.removeprefix("# ").splitlines())
        return {row["pxname"]: row["status"] for row in rows}

    def _unknown(self, map_file: str) -> RouterError:
        lines = self._ask("show map").splitlines()
        known = [found.group(1) for found in (re.match(r"-?\d+ \((.+?)\) ", line) for line in lines) if found]
        return RouterError(
            f"HAProxy at {self.address} does not know the map {map_file}",
            f"it has {', '.join(known)}" if known else "it has no map that was read from a file",
            "Write route.map exactly as HAProxy's configuration names it, as in use_backend"
            f" %[req.hdr(X-SX-Source-ID),map_str({map_file},default)], and reload HAProxy when that is new.",
        )

    def _expect(self, answer: str, good: bool, command: str) -> None:
        if good:
            return
        denied = answer.startswith(_DENIED)
        raise RouterError(
            f"HAProxy at {self.address} refused '{command}'",
            " ".join(answer.split())[:200],
            "Give the socket that right in HAProxy's configuration (stats socket ... level admin), and reload it."
            if denied
            else "route.socket must be a 'stats socket' of HAProxy 2.2 or newer, with 'level admin'.",
        )

    def _ask(self, command: str) -> str:
        deadline = time.monotonic() + self.timeout_s
        received = bytearray()
        try:
            with self._connected(deadline) as connection:
                connection.sendall(command.encode() + b"\n")
                while True:
                    connection.settimeout(max(deadline - time.monotonic(), 0.001))
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    received += piece
        except OSError as error:
            raise self._unreachable(error) from error
        return received.decode("utf-8", "surrogateescape").strip()

    def _connected(self, deadline: float) -> socket.socket:
        tcp = _TCP.match(self.address)
        if tcp:
            where = (tcp.group("host").strip("[]"), int(tcp.group("port")))
            return socket.create_connection(where, max(deadline - time.monotonic(), 0.001))
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            connection.connect(self.address)
        except BaseException:
            connection.close()
            raise
        return connection

    def _unreachable(self, error: OSError) -> RouterError:
        if isinstance(error, FileNotFoundError):
            why, remedy = "there is no such socket", "Start HAProxy, or correct route.socket"
        elif isinstance(error, ConnectionError):
            why, remedy = f"nobody answers there ({error.strerror or error})", "Start HAProxy, or correct route.socket"
        elif isinstance(error, PermissionError):
            why = "this user may not connect to it"
            remedy = "Run this as root (become: true) or as a member of the socket's group"
        elif isinstance(error, (TimeoutError, socket.timeout)):  # two of them before Python 3.10
            why, remedy = f"no answer within {self.timeout_s:g} s", "Look whether HAProxy hangs, or raise route.timeout"
        else:
            why, remedy = error.strerror or str(error), "Correct route.socket"
        return RouterError(f"HAProxy cannot be reached at {self.address}", why, f"{remedy}.")


def runtime_socket(address: str, timeout_s: float) -> RuntimeSocket:
    """Return the socket at an address.

    Raises:
        BadInput: It is neither an absolute path nor a port of this machine, or the timeout is none.
    """
    if not _TCP.match(address) and not pathlib.Path(address).is_absolute():
        raise BadInput(
            f"route.socket {address!r} is refused",
            "it is neither an absolute path nor a port of this machine",
            "Write the path of the 'stats socket' as in haproxy.cfg, or 127.0.0.1:<port>.",
        )
    if not timeout_s > 0:
        raise BadInput(f"route.timeout {timeout_s:g} is refused", "it must be more than 0 seconds")
    return RuntimeSocket(address, timeout_s)
