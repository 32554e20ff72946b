# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Keep secrets out of everything the engine says.

C(no_log) is not enough: newer ansible-core no longer strips values from results, so every text and every
result leaves through here.
"""

from __future__ import annotations

import re
import typing as t
import urllib.parse

MASK = "********"
# Up to the last @, so that one left unencoded in a password shows nothing of it.
_URL_PASSWORD = re.compile(r"(?P<head>[A-Za-z][A-Za-z0-9+.-]*://[^/@\s:]*:)\S*(?P<tail>@)")
_KEYWORD_PASSWORD = re.compile(
    r"(?P<head>\b(?:password|sslpassword|passwd|pwd)\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s'&;]+)", re.IGNORECASE
)

_SECRET_HEADER = re.compile(r"auth|cookie|token|secret|key|password", re.IGNORECASE)


def secrets_of(*values: str | None) -> frozenset[str]:
    """Return the secret strings inside the values: the values themselves, and a connection string's password.

    Args:
        values: Secret option values; None and empty strings are passed over.
    """
    found: set[str] = set()
    for value in values:
        if not value:
            continue
        found.add(value)
        for password in _passwords_of(value):
            found.update({password, urllib.parse.unquote(password)})
    return frozenset(found)


def secrets_of_headers(plain: t.Mapping[str, t.Any], secret: t.Mapping[str, t.Any]) -> frozenset[str]:
    """Return what must not be shown of HTTP headers: all of C(secret), and of C(plain) what looks like a credential."""
    values = [str(value) for value in secret.values() if value]
    values += [str(value) for name, value in plain.items() if value and _SECRET_HEADER.search(name)]
    return frozenset(values + [word for value in values for word in value.split() if len(word) >= 8])


def _passwords_of(dsn: str) -> list[str]:
    """Return the passwords inside a connection string, written as libpq reads it (and as people mistype it)."""
    if "://" in dsn:
        # Not urlsplit(): to libpq "?" and "#" are part of a password, and it takes passwords from the query.
        found = re.findall(r"://[^/@\s:]*:([^@\s]*)@", dsn) + re.findall(r"://[^/@\s:]*:(\S*)@", dsn)
        found += re.findall(r"[?&](?:ssl)?password=([^&\s]*)", dsn)
    else:
        quoted = re.findall(r"\b(?:ssl)?password\s*=\s*'((?:[^'\\]|\\.)*)'", dsn)
        found = [re.sub(r"\\(.)", r"\1", password) for password in quoted]
        found += re.findall(r"\b(?:ssl)?password\s*=\s*([^'\s]\S*)", dsn)
    return [password for password in found if password]


def redact_text(text: str, secrets: t.Iterable[str] = ()) -> str:
    """Return the text with the given secrets, and anything that looks like a password in a DSN, masked."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _URL_PASSWORD.sub(rf"\g<head>{MASK}\g<tail>", text)
    return _KEYWORD_PASSWORD.sub(rf"\g<head>{MASK}", text)


def redact(value: t.Any, secrets: t.Iterable[str] = ()) -> t.Any:
    """Return the value (dicts, lists and strings at any depth) with every secret masked.

    The keys of a dict are names that the engine gave, which a password must not be able to change; only what
    looks like a connection string is masked in them.
    """
    secrets = frozenset(secrets)
    if isinstance(value, str):
        return redact_text(value, secrets)
    if isinstance(value, dict):
        return {redact(key): redact(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item, secrets) for item in value]
    return value
