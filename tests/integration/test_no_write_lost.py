# SPDX-License-Identifier: GPL-3.0-or-later
"""No acknowledged write is lost: a few rounds of the soak (`make soak` makes a hundred).

Eight clients write to two profiles through the API, while one of them is cut over, drained and rolled back.
"""

from __future__ import annotations

import os
import random

import pytest
from _haproxy import require_haproxy
from faults.soak import is_good, soak
from faults.soak_steps import RESTART, ROUTE

# Set it to the seed of a failed run to have its rounds again.
SEED = "PG_CUTOVER_SOAK_SEED"


@pytest.mark.slow
@pytest.mark.parametrize(("method", "rounds"), [(ROUTE, 5), (RESTART, 1)])
def test_no_acknowledged_write_is_lost(method: str, rounds: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    if method == ROUTE:
        require_haproxy()
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(2**31))
    results = soak(tmp_path_factory.mktemp("soak"), rounds, seed, method)
    told = {name: value for name, value in results.items() if name != "each"}
    assert is_good(results), told
    assert results["rounds"] == rounds and results["seeds"] == list(range(seed, seed + rounds))
    for figure in ("lock_hold_ms", "write_outage_ms", "rollback_ms"):
        assert {"p50", "p95", "p99"} <= results[figure].keys(), told
    for each in results["each"]:
        assert each["profiles"]["assets_1"]["acknowledged"] and each["profiles"]["assets_2"]["acknowledged"]
    if method == ROUTE:
        assert results["failed_reads"] == 0, told
