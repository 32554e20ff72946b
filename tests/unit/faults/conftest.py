# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the load generator and the local stack importable."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[3]
for _folder in (_ROOT / "tests", _ROOT / "demo"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))
