# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose free ports once."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

from .errors import StackError

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 15000


def choose_free_ports(names: list[str]) -> dict[str, int]:
    """Return a free port of 127.0.0.1 for each name.

    They lie below the range outgoing connections use: a stopped service must find its port free again.
    """
    chosen: dict[str, int] = {}
    candidates = list(range(_LOWEST, _highest()))
    random.shuffle(candidates)
    with contextlib.ExitStack() as held:
        for name in names:
            while candidates:
                port = candidates.pop()
                probe = held.enter_context(socket.socket())
                if _bound(probe, port):
                    chosen[name] = port
                    break
            else:
                raise StackError(f"no free port on 127.0.0.1 between {_LOWEST} and {_highest()}")
    return chosen


def is_free(port: int) -> bool:
    """Tell whether nothing listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return _bound(probe, port)


def _bound(probe: socket.socket, port: int) -> bool:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def _highest() -> int:
    try:
        return max(int(_EPHEMERAL.read_text(encoding="ascii").split()[0]), _LOWEST + 1000)
    except (OSError, ValueError):
        return 32768
