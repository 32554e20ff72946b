# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Kept in step with module_utils/_options.py: postgres_options()
    DOCUMENTATION = r"""
options:
  dsn:
    description:
      - The libpq connection string, as a URL or as keywords; SQLAlchemy spellings such as
        C(postgresql+psycopg://) are understood.
      - A password may be left out of it and come from O(pgpass_file), E(PGPASSFILE) or a service file.
      - The C(login_*) and C(ssl_*) options override its parts.
    type: str
  login_host:
    description: Host, or comma-separated hosts, of the server; a folder means a Unix socket.
    type: str
  login_port:
    description: Port of the server.
    type: int
  login_user:
    description: Role to connect as.
    type: str
  login_password:
    description: Password of O(login_user).
    type: str
  login_db:
    description: Database to connect to.
    type: str
  pgpass_file:
    description: Path of a password file in libpq's format.
    type: path
  ssl_mode:
    description: How far the TLS connection is verified.
    type: str
    choices: [allow, disable, prefer, require, verify-ca, verify-full]
  ca_cert:
    description: Path of the certificate authority that signed the server's certificate.
    type: path
  ssl_cert:
    description: Path of the client certificate.
    type: path
  ssl_key:
    description: Path of the key of O(ssl_cert).
    type: path
  session_role:
    description: Role to switch to after connecting (C(SET ROLE)), so that new objects belong to it.
    type: str
  connect_timeout:
    description: How many seconds to wait for the server to accept a connection.
    type: int
    default: 10
requirements:
  - psycopg2 >= 2.9 on the managed host
"""
