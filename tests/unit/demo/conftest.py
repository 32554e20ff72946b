# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the demo's packages importable; without what they need, its tests are left out."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

DEMO_DIR = str(Path(__file__).resolve().parents[3] / "demo")
if DEMO_DIR not in sys.path:
    sys.path.insert(0, DEMO_DIR)

_NEEDED = ("dotenv", "fastapi", "psycopg2", "supervisor")
collect_ignore_glob = [] if all(map(importlib.util.find_spec, _NEEDED)) else ["test_*.py"]
