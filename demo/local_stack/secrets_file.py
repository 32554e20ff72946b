# SPDX-License-Identifier: GPL-3.0-or-later
"""The stack's passwords: random, made once, kept in one 0600 file."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass

from .layout import Layout, write_private

DATABASE = "sx"
ADMIN_USER = "sx_admin"
APP_USER = "sx_app"
SUPERUSER = "postgres"
SUPERVISOR_USER = "stack"


@dataclass(frozen=True)
class Secrets:
    """What secrets.json holds."""

    dsn: str
    admin_dsn: str
    superuser_dsn: str
    app_password: str
    admin_password: str
    superuser_password: str
    supervisor_user: str
    supervisor_password: str


def ensure_secrets(layout: Layout, postgres_port: int) -> Secrets:
    """Return the stack's passwords, making them up the first time."""
    if layout.secrets.exists():
        return Secrets(**json.loads(layout.secrets.read_text(encoding="utf-8")))
    app, admin, superuser, supervisor = (secrets.token_hex(16) for _turn in range(4))

    def url(user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{postgres_port}/{database}"

    made = Secrets(
        dsn=url(APP_USER, app, DATABASE),
        admin_dsn=url(ADMIN_USER, admin, DATABASE),
        superuser_dsn=url(SUPERUSER, superuser, "postgres"),
        app_password=app,
        admin_password=admin,
        superuser_password=superuser,
        supervisor_user=SUPERVISOR_USER,
        supervisor_password=supervisor,
    )
    write_private(layout.secrets, json.dumps(asdict(made), indent=2) + "\n")
    return made


def write_pgpass(layout: Layout, made: Secrets, postgres_port: int) -> None:
    """Write the libpq password file, for tools that must not be given a password as an argument."""
    users = (
        (APP_USER, made.app_password),
        (ADMIN_USER, made.admin_password),
        (SUPERUSER, made.superuser_password),
    )
    lines = [f"127.0.0.1:{postgres_port}:*:{user}:{password}\n" for user, password in users]
    write_private(layout.pgpass, "".join(lines))
