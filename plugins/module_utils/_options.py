# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Option groups shared by the modules; each is kept in step with the doc fragment of the same name."""

from __future__ import annotations

import typing as t

Spec = dict[str, t.Any]


def postgres_options() -> Spec:
    """Return how to reach PostgreSQL (doc fragment C(postgres)); the names are those of community.postgresql."""
    return {
        "dsn": {"type": "str", "no_log": True},
        "login_host": {"type": "str"},
        "login_port": {"type": "int"},
        "login_user": {"type": "str"},
        "login_password": {"type": "str", "no_log": True},
        "login_db": {"type": "str"},
        "pgpass_file": {"type": "path", "no_log": False},
        "ssl_mode": {
            "type": "str",
            "choices": ["allow", "disable", "prefer", "require", "verify-ca", "verify-full"],
        },
        "ca_cert": {"type": "path"},
        "ssl_cert": {"type": "path"},
        "ssl_key": {"type": "path", "no_log": False},
        "session_role": {"type": "str"},
        "connect_timeout": {"type": "int", "default": 10},
    }


def profile_options() -> Spec:
    """Return what names a profile and its schema (doc fragment C(profile))."""
    return {
        "source_id": {"type": "str", "required": True},
        "schema_prefix": {"type": "str", "default": "sx"},
        "schema_name": {"type": "str"},
    }


def registry_options() -> Spec:
    """Return where the application keeps its mapping of sources to schemas (doc fragment C(registry))."""
    return {"registry_table": {"type": "str", "default": "public.sx_source_registry"}}


def tenant_data_options() -> Spec:
    """Return which rows of which SQLite file are the profile's (doc fragment C(tenant_data))."""
    return {
        "sqlite_path": {"type": "path"},
        "tenant_column": {"type": "str", "default": "source_id"},
        "shared_tables": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "target": {"type": "str"},
                "key": {"type": "str", "required": True, "no_log": False},
                "columns": {"type": "list", "elements": "str", "default": []},
            },
        },
        "exclude_tables": {"type": "list", "elements": "str", "default": []},
    }


def progress_options() -> Spec:
    """Return where the progress of a long module is told (doc fragment C(progress))."""
    return {"progress_file": {"type": "path"}}


def csv_files_options() -> Spec:
    """Return the CSV files that stand in for the SQLite file (doc fragment C(csv_files))."""
    return {
        "csv_files": {
            "type": "list",
            "elements": "dict",
            "options": {
                "table": {"type": "str", "required": True},
                "path": {"type": "path", "required": True},
                "sha256": {"type": "str"},
                "delimiter": {"type": "str", "default": ","},
                # COPY says "null", which is no text as a key in YAML.
                "null_string": {"type": "str", "default": ""},
            },
        }
    }


def data_policies_options() -> Spec:
    """Return what happens to values that cannot travel as they are (doc fragment C(data_policies))."""
    return {"policies": {"type": "dict", "default": {}}}


def instances_options() -> Spec:
    """Return who serves the profile (doc fragment C(instances))."""
    instance = {"name": {"type": "str", "required": True}, "base_url": {"type": "str", "required": True}}
    return {"instances": {"type": "list", "elements": "dict", "required": True, "options": instance}}


def requests_options() -> Spec:
    """Return what is sent with every question to the application, and how its server is known (C(requests))."""
    return {
        "headers": {"type": "dict", "default": {}},
        "secret_headers": {"type": "dict", "default": {}, "no_log": True},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
    }
