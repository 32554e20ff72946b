# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make what several of these tests share importable."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = str(Path(__file__).resolve().parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)
