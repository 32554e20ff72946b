# SPDX-License-Identifier: GPL-3.0-or-later
"""The optional router: HAProxy in front of all instances, sending each profile where one line of a map says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .binaries import require_haproxy
from .errors import StackError
from .layout import Layout, write_private
from .profiles import STANDBY, Service

ROUTER = "router"
# A unix socket's path has 108 bytes at most, and HAProxy binds a longer name first (.<pid>.tmp).
_LONGEST_SOCKET = 95

# The application lets the query win over the header, so the router must too.
_CONFIG = """\
# Written by the local stack at every start; the map belongs to whoever cuts a profile over.
global
    stats socket {socket} mode 600 level admin
defaults
    mode http
    # The application closes after an error and does not say so: a kept connection could be gone when it is used again.
    option http-server-close
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend everyone
    bind 127.0.0.1:{port}
    http-request set-var(txn.profile) req.hdr(X-SX-Source-ID)
    http-request set-var(txn.profile) url_param(source_id),url_dec if {{ url_param(source_id) -m len gt 0 }}
    use_backend %[var(txn.profile),map_str({map},nowhere)]
    default_backend nowhere
backend nowhere
    http-request return status 404 content-type text/plain string "no route for this profile"
"""
_BACKEND = """\
backend {name}
    server {name} 127.0.0.1:{port} check inter 500ms rise 1 fall 2
"""


def backend_of(profile: str, store: str) -> str:
    """Return the backend that serves a profile from a store; it has the name of the instance behind it."""
    return f"api-{profile}" + (STANDBY if store == "postgres" else "")


def require_router(layout: Layout) -> None:
    """Raise what would keep the stack from having a router."""
    require_haproxy()
    if len(str(layout.router_socket)) > _LONGEST_SOCKET:
        raise StackError(
            f"{layout.router_socket} is too long a name for the router's socket: choose another folder (--state-dir)"
        )


def write_router(layout: Layout, members: Sequence[Service], ports: Mapping[str, int]) -> None:
    """Write the configuration, and the map unless it exists: every profile to its instance in SQLite mode."""
    layout.router_socket.parent.mkdir(mode=0o700, exist_ok=True)
    text = _CONFIG.format(socket=layout.router_socket, port=ports[ROUTER], map=layout.router_map)
    text += "".join(_BACKEND.format(name=service.name, port=service.port) for service in members)
    write_private(layout.router_config, text)
    if not layout.router_map.exists():
        lines = [f"{s.profile} {backend_of(s.profile, 'sqlite')}\n" for s in members if not s.is_standby]
        write_private(layout.router_map, "# profile, and the instance that answers for it\n" + "".join(lines))


def router_command(layout: Layout) -> list[str]:
    """Return the command line of HAProxy, to run in the foreground."""
    return [str(require_haproxy()), "-db", "-f", str(layout.router_config)]
