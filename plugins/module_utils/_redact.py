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
_URL_PASSWORD = re.compile(r"(?P<head>[A-Za-z][A-Za-z0-9+.-]*://[^/@\s:]*:)[^@\s]*(?P<tail>@)")
_KEYWORD_PASSWORD = re.compile(
    r"(?P<head>\b(?:password|sslpassword|passwd|pwd)\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s'&;]+)", re.IGNORECASE
)


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
        password = _password_of(value)
        if password:
            found.update({password, urllib.parse.unquote(password)})
    return frozenset(found)


def _password_of(dsn: str) -> str | None:
    if "://" in dsn:
        try:
            return urllib.parse.urlsplit(dsn).password
        except ValueError:
            return None
    match = re.search(r"\bpassword\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))", dsn)
    if not match:
        return None
    return re.sub(r"\\(.)", r"\1", match.group(1)) if match.group(1) is not None else match.group(2)


def redact_text(text: str, secrets: t.Iterable[str] = ()) -> str:
    """Return the text with the given secrets, and anything that looks like a password in a DSN, masked."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _URL_PASSWORD.sub(rf"\g<head>{MASK}\g<tail>", text)
    return _KEYWORD_PASSWORD.sub(rf"\g<head>{MASK}", text)


def redact(value: t.Any, secrets: t.Iterable[str] = ()) -> t.Any:
    """Return the value (dicts, lists and strings at any depth) with every secret masked."""
    secrets = frozenset(secrets)
    if isinstance(value, str):
        return redact_text(value, secrets)
    if isinstance(value, dict):
        return {redact(key, secrets): redact(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item, secrets) for item in value]
    return value
