# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tables the body of a trigger writes to."""

from __future__ import annotations

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._silent_triggers import written_tables

BEGINNING = "CREATE TRIGGER x AFTER UPDATE OF insert_me ON watched WHEN NEW.a IN (SELECT delete_me FROM other) BEGIN "


@pytest.mark.parametrize(
    ("body", "tables"),
    [
        ("SELECT 1;", set()),
        ("INSERT INTO a VALUES (1); INSERT OR IGNORE INTO [b c] SELECT * FROM d;", {"a", "b c"}),
        ('REPLACE INTO "a" VALUES (1); DELETE FROM `b` WHERE x;', {"a", "b"}),
        ("UPDATE OR ROLLBACK a SET x = 1; UPDATE b SET y = replace(y, 'a', 'b');", {"a", "b"}),
        ("INSERT INTO a VALUES (1) ON CONFLICT DO UPDATE SET x = 'DELETE FROM b';", {"a"}),
        ("WITH w AS (SELECT 1) INSERT INTO a SELECT * FROM w;", {"a"}),
        ("SELECT CASE WHEN NEW.x THEN RAISE(ABORT, 'no') END; -- DELETE FROM b", set()),
    ],
)
def test_written_tables(body: str, tables: set[str]) -> None:
    assert written_tables(f"{BEGINNING}{body} END") == tables
