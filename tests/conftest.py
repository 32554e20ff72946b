# Copyright (c) 2026, pg_cutover developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every test: Hypothesis keeps its files in build/, and no test depends on how fast a machine is."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(Path(__file__).parents[1] / "build" / "cache" / "hypothesis")
# The same examples in every run of CI, so that a failure there can be seen again; new ones on a developer's machine.
settings.register_profile("collection", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("collection")
