# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledgers that the tests of the report share with the integration tests."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = str(Path(__file__).resolve().parents[3])
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)
