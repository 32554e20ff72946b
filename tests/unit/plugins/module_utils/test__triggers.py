# SPDX-License-Identifier: GPL-3.0-or-later
"""Every trigger of the watch: where it fires, where it must not yet, and where nothing can be said."""

from __future__ import annotations

import random
import typing as t

import pytest
from _looks import BASELINE, EVERY_S, HEALTHY, held, look, looks, verdict
from ansible_collections.sxops.pg_cutover.plugins.module_utils._trigger_limits import Limits
from ansible_collections.sxops.pg_cutover.plugins.module_utils._triggers import evaluate, fired
from ansible_collections.sxops.pg_cutover.plugins.module_utils._verdict import FAILED, NOT_VERIFIED, PASSED
from ansible_collections.sxops.pg_cutover.plugins.module_utils._watch_sample import Sample
from hypothesis import given
from hypothesis import strategies as st

DOWN = {"ready": {"api-1": False, "api-2": True}, "ready_failures": {"api-1": "status 503"}}
CHECK = {"name": "rows of notes", "verdict": FAILED, "message": "1 row is missing"}
UNMADE = {"name": "rows of notes", "verdict": NOT_VERIFIED, "message": "locked"}
WELL = looks(200)
NAMES = (
    *("startup", "instances", "migration", "error_ratio", "error_percent", "latency_immediate", "latency_scheduled"),
    *("connection", "pool", "data_mismatch", "leakage"),
)
NO_LOG: dict[str, t.Any] = {"requests": None, "errors_4xx": None, "errors_5xx": None, "latency_p95_ms": None}
FAILING: list[tuple[str, float, dict[str, t.Any], str]] = [
    # The trigger, how long it has to hold, what is wrong, and a word of the message.
    ("startup", 305, {"ready": {"api-1": False, "api-2": True, "api-3": True, "api-4": True, "api-5": True}}, "api-1"),
    ("instances", 10, DOWN, "api-1"),
    ("migration", 0, {"migration": {"checked": 3, "failed": [CHECK]}}, "1 row is missing"),
    ("error_ratio", 600, {"requests": 1000, "errors_5xx": 11}, "2 times the baseline's 0.5 %"),
    ("error_percent", 300, {"requests": 1000, "errors_5xx": 11}, "1.1 %"),
    ("latency_immediate", 60, {"latency_p95_ms": 800.1}, "10 times the baseline's 80 ms"),
    ("latency_scheduled", 60, {"latency_p95_ms": 160.1}, "2 times the baseline's 80 ms"),
    ("connection", 305, {"postgres_ok": False, "postgres_message": "refused"}, "refused"),
    ("pool", 60, {"connections_used": 91}, "91 of 100"),
    ("data_mismatch", 0, {"data": {"checked": 8, "failed": [CHECK]}}, "1 row is missing"),
    ("leakage", 0, {"leakage": {"checked": 2, "failed": [CHECK]}}, "1 row is missing"),
]
AT_THE_THRESHOLD: list[tuple[str, float, dict[str, t.Any]]] = [
    ("startup", 300, {"ready": {"api-1": False, "api-2": True}}),
    ("instances", 900, {"ready": {"api-1": False, **{f"api-{number}": True for number in range(2, 6)}}}),
    ("migration", 900, {"migration": {"checked": 3, "failed": []}}),
    ("error_ratio", 900, {"requests": 1000, "errors_5xx": 10}),
    ("error_percent", 900, {"requests": 1000, "errors_5xx": 10}),
    ("latency_immediate", 900, {"latency_p95_ms": 800.0}),
    ("latency_scheduled", 900, {"latency_p95_ms": 160.0}),
    ("connection", 300, {"postgres_ok": False}),
    ("pool", 900, {"connections_used": 90}),
    ("data_mismatch", 900, {"data": {"checked": 8, "failed": []}}),
    ("leakage", 900, {"leakage": {"checked": 2, "failed": []}}),
]
UNKNOWN: list[tuple[str, dict[str, t.Any]]] = [
    ("startup", {"ready": {}}),
    ("instances", {"ready": {}}),
    ("migration", {"migration": None}),
    ("migration", {"migration": {"checked": 0, "failed": []}}),
    ("migration", {"migration": {"checked": 2, "failed": [UNMADE]}}),
    ("error_ratio", {**NO_LOG, "probes": 0}),
    ("error_percent", {**NO_LOG, "probes": 0}),
    ("latency_immediate", {**NO_LOG, "probe_ms": {}}),
    ("latency_scheduled", {**NO_LOG, "probe_ms": {"api-1": None}}),
    ("connection", {"postgres_ok": None}),
    ("pool", {"connections_used": None}),
    ("pool", {"connections_limit": None}),
    ("data_mismatch", {"data": None}),
    ("leakage", {"leakage": None}),
]


@pytest.mark.parametrize(("name", "seconds", "wrong", "word"), FAILING)
def test_it_fires_when_it_lasts(name: str, seconds: float, wrong: dict[str, t.Any], word: str) -> None:
    found = verdict(name, [*looks(12), *held(seconds, begin=60, **wrong)])
    assert (found.verdict, found.held_s, word in found.message) == (FAILED, seconds, True), found
    assert found.since == look(60).time
    assert found.source.startswith("seed 00")


@pytest.mark.parametrize(("name", "seconds", "wrong", "word"), [case for case in FAILING if case[1]])
def test_it_does_not_fire_one_look_earlier(name: str, seconds: float, wrong: dict[str, t.Any], word: str) -> None:
    found = verdict(name, [*looks(12), *held(seconds - EVERY_S, begin=60, **wrong)])
    assert (found.verdict, found.held_s) == (PASSED, seconds - EVERY_S), found


@pytest.mark.parametrize(("name", "seconds", "wrong", "word"), [case for case in FAILING if case[1]])
def test_it_does_not_fire_when_it_ended(name: str, seconds: float, wrong: dict[str, t.Any], word: str) -> None:
    ended = [*held(seconds, **wrong), *looks(14, begin=seconds + EVERY_S)]
    assert verdict(name, ended).verdict == PASSED


@pytest.mark.parametrize(("name", "seconds", "wrong"), AT_THE_THRESHOLD)
def test_it_does_not_fire_at_the_threshold(name: str, seconds: float, wrong: dict[str, t.Any]) -> None:
    found = verdict(name, held(seconds, **wrong))
    assert found.verdict == PASSED, found


@pytest.mark.parametrize(("name", "unknown"), UNKNOWN)
def test_nothing_is_said_of_what_was_not_measured(name: str, unknown: dict[str, t.Any]) -> None:
    assert verdict(name, looks(200, **unknown)).verdict == NOT_VERIFIED


def test_without_a_sample_nothing_is_said() -> None:
    found = evaluate([], BASELINE)
    assert [(trigger.name, trigger.verdict) for trigger in found] == [(name, NOT_VERIFIED) for name in NAMES]


def test_a_healthy_profile_passes_everything() -> None:
    assert {trigger.verdict for trigger in evaluate(WELL, BASELINE)} == {PASSED}


def test_the_first_look_of_a_healthy_profile_fires_nothing() -> None:
    assert fired(evaluate(WELL[:1], BASELINE)) == []


@pytest.mark.parametrize("begin", [305, 3600])
def test_nothing_holds_across_a_gap(begin: float) -> None:
    """The watch was interrupted; what was between, nobody saw."""
    bad: dict[str, t.Any] = {"postgres_ok": False}
    resumed = [*held(200, **bad), *held(200, begin=begin, run=begin, **bad)]
    assert (verdict("connection", resumed).verdict, verdict("connection", resumed).held_s) == (PASSED, 200.0)


def test_a_watch_that_goes_on_within_a_few_looks_goes_on() -> None:
    bad: dict[str, t.Any] = {"postgres_ok": False}
    assert verdict("connection", [*held(200, **bad), *held(100, begin=210, run=208, **bad)]).held_s == 310.0


def test_a_look_that_takes_long_is_no_gap() -> None:
    """What hangs makes the looks slow; the watch must not miss just that."""
    slow = looks(12) + [look(60 + 55 * place, postgres_ok=False) for place in range(7)]
    assert verdict("connection", slow).verdict == FAILED


def test_a_watch_that_stood_still_saw_nothing() -> None:
    bad: dict[str, t.Any] = {"postgres_ok": False}
    assert verdict("connection", [*held(200, **bad), *held(100, begin=400, **bad)]).held_s == 100.0


def test_a_clock_that_is_set_back_changes_nothing_within_a_run() -> None:
    samples = held(305, postgres_ok=False)
    fields = [{**sample.as_dict(), "time": look(-7200 + place).time} for place, sample in enumerate(samples)]
    assert verdict("connection", [Sample(**field) for field in fields]).verdict == FAILED


def test_a_clock_that_is_set_back_between_two_runs_is_a_gap() -> None:
    bad: dict[str, t.Any] = {"postgres_ok": False}
    samples = [*held(200, **bad), *held(200, begin=100, run=100, **bad)]
    assert verdict("connection", samples).held_s == 200.0


def test_a_time_that_cannot_be_read_is_a_gap() -> None:
    later = Sample(**{**look(210, 205, postgres_ok=False).as_dict(), "time": "soon"})
    assert verdict("connection", [*held(200, postgres_ok=False), later]).held_s == 0.0


@pytest.mark.parametrize("name", ["error_ratio", "error_percent"])
def test_looks_without_requests_neither_hold_nor_break(name: str) -> None:
    bad: dict[str, t.Any] = {"requests": 100, "errors_5xx": 5}
    idle: dict[str, t.Any] = {"requests": 0, "errors_5xx": 0, "latency_p95_ms": None}
    # A burst and silence is no trouble that lasts ...
    assert verdict(name, [*held(20, **bad), *held(895, begin=25, **idle)]).verdict != FAILED
    # ... but silence within is none of its ends.
    assert (
        verdict(name, [*held(20, **bad), *held(595, begin=25, **idle), *held(20, begin=625, **bad)]).verdict == FAILED
    )


@pytest.mark.parametrize(("requests", "wanted"), [(19, NOT_VERIFIED), (20, FAILED)])
def test_a_rate_needs_requests(requests: int, wanted: str) -> None:
    spread = [
        look(at, requests=1, errors_5xx=1) for at in [round(300 * n / (requests - 1), 3) for n in range(requests)]
    ]
    assert verdict("error_percent", spread).verdict == wanted


@pytest.mark.parametrize(("requests", "wanted"), [(19, NOT_VERIFIED), (20, PASSED)])
def test_a_good_rate_needs_requests_too(requests: int, wanted: str) -> None:
    assert verdict("error_percent", [look(0, requests=requests, errors_5xx=0)]).verdict == wanted


def test_a_burst_is_no_lasting_error_rate() -> None:
    burst = [*looks(60), *held(20, begin=300, requests=100, errors_5xx=100), *looks(6, begin=325)]
    found = verdict("error_percent", burst)
    assert (found.verdict, found.held_s) == (PASSED, 20.0)


def test_errors_that_come_again_and_again_are_one_lasting_trouble() -> None:
    """Ten requests in a look, one in thirty fails: most looks see no error at all."""
    often = [look(5 * place, requests=10, errors_5xx=int(place % 3 == 0)) for place in range(61)]
    assert verdict("error_percent", often).verdict == FAILED


def test_seldom_errors_do_not_add_up() -> None:
    """The same looks see an error, but there are too many requests besides."""
    seldom = [look(5 * p, requests=10 if p % 3 == 0 else 60, errors_5xx=int(p % 3 == 0)) for p in range(181)]
    assert verdict("error_percent", seldom).verdict == PASSED


def test_errors_a_good_minute_apart_do_not_hold() -> None:
    seldom = [look(5 * place, requests=10, errors_5xx=10 * int(place % 13 == 0)) for place in range(183)]
    assert verdict("error_percent", seldom).held_s == 0.0


@pytest.mark.parametrize(("every", "wanted"), [(4, FAILED), (5, PASSED)])
def test_errors_may_be_a_fifth_of_the_duration_apart(every: int, wanted: str) -> None:
    samples = [look(5 * place, requests=10, errors_5xx=int(place % every == 0)) for place in range(21)]
    assert verdict("error_percent", samples, error_percent_duration=100).verdict == wanted


def test_what_was_mild_before_does_not_hide_what_is_bad_now() -> None:
    mild = [look(5 * place, requests=1000, errors_5xx=20 * int(place % 10 == 0)) for place in range(120)]
    bad = held(300, begin=600, requests=100, errors_5xx=2)
    found = verdict("error_percent", [*mild, *bad])
    assert (found.verdict, found.observed, found.held_s) == (FAILED, 2.0, 300.0)


@pytest.mark.parametrize("baseline", [None, {}, {"requests": None}, {"requests": {"error_percent": None}}])
def test_without_a_baseline_an_error_ratio_has_its_least_threshold(baseline: t.Any) -> None:
    few: dict[str, t.Any] = {"requests": 1000, "errors_5xx": 2}
    found = verdict("error_ratio", held(600, **few), baseline)
    assert (found.verdict, found.threshold) == (FAILED, 0.1)
    assert "the least threshold, the baseline knows no requests" in found.message
    few["errors_5xx"] = 1
    assert verdict("error_ratio", held(900, **few), baseline).verdict == PASSED


def test_a_baseline_without_errors_has_the_least_threshold() -> None:
    baseline = {"requests": {"error_percent": 0.0}}
    found = verdict("error_ratio", held(600, requests=1000, errors_5xx=2), baseline)
    assert (found.verdict, found.threshold) == (FAILED, 0.1)
    assert "the least threshold, above 2 times the baseline's 0 %" in found.message


@pytest.mark.parametrize("baseline", [None, {}, {"requests": None}, {"requests": {"latency_ms": {"p95": None}}}])
@pytest.mark.parametrize("name", ["latency_immediate", "latency_scheduled"])
def test_without_a_baseline_no_latency_is_judged(name: str, baseline: t.Any) -> None:
    found = verdict(name, looks(50, latency_p95_ms=9000.0), baseline)
    assert (found.verdict, "nothing" in found.message or "no latency" in found.message) == (NOT_VERIFIED, True)


@pytest.mark.parametrize(("p95", "wanted"), [(100.0, PASSED), (100.1, FAILED)])
def test_a_latency_at_the_floor_never_fires(p95: float, wanted: str) -> None:
    for before in (0.0, 3.0):
        baseline = {"requests": {"latency_ms": {"p95": before}}}
        found = verdict("latency_immediate", looks(50, latency_p95_ms=p95), baseline)
        assert (found.verdict, "the least threshold" in found.message) == (wanted, True)


def test_ten_times_is_scheduled_and_more_is_immediate() -> None:
    found = {trigger.name: trigger.severity for trigger in fired(evaluate(looks(20, latency_p95_ms=800.0), BASELINE))}
    assert found == {"latency_scheduled": "scheduled"}
    worse = fired(evaluate(looks(20, latency_p95_ms=800.1), BASELINE))
    assert [trigger.name for trigger in worse] == ["latency_immediate", "latency_scheduled"]


def test_a_few_slow_looks_among_many_are_no_slowness() -> None:
    mixed = [look(5 * place, latency_p95_ms=900.0 if place % 2 == 0 else 80.0) for place in range(41)]
    several = [
        look(5 * p, latency_p95_ms=900.0 if p % 2 == 0 else 80.0, requests=90 if p % 2 else 10) for p in range(41)
    ]
    assert verdict("latency_immediate", mixed).verdict == FAILED
    assert verdict("latency_immediate", several).verdict == PASSED


def test_without_a_request_log_our_own_questions_are_judged() -> None:
    slow = looks(20, **{**NO_LOG, "probe_ms": {"api-1": 12.0, "api-2": 400.1}})
    found = verdict("latency_immediate", slow)
    assert (found.verdict, found.threshold, "our own questions" in found.message) == (FAILED, 400.0, True)
    wrong = looks(121, **{**NO_LOG, "probes": 10, "probes_5xx": 1})
    for name in ("error_ratio", "error_percent"):
        found = verdict(name, wrong)
        assert (found.verdict, found.observed, "questions of our own" in found.message) == (FAILED, 10.0, True)


def test_a_log_that_tells_of_nothing_leaves_our_own_questions() -> None:
    idle = looks(70, requests=0, errors_5xx=0, latency_p95_ms=None)
    assert {verdict(name, idle).verdict for name in NAMES} == {PASSED}


def test_the_worst_instance_is_named() -> None:
    samples = [
        *looks(2, ready={"api-1": True, "api-2": False}),
        *held(300, begin=10, ready=dict.fromkeys(("api-1", "api-2"), False)),
    ]
    found = verdict("startup", samples)
    assert (found.verdict, found.observed) == (FAILED, 310.0)
    assert found.message.startswith("api-2")


def test_an_instance_in_turn_is_no_failed_start() -> None:
    """Instances that restart one after the other are each down for a moment."""
    ready = [{"api-1": place % 2 == 0, "api-2": place % 2 == 1} for place in range(100)]
    samples = [look(5 * place, ready=state) for place, state in enumerate(ready)]
    assert verdict("startup", samples).verdict == PASSED
    assert verdict("instances", samples).verdict == FAILED


def test_the_last_checks_count() -> None:
    mended = [look(0, data={"checked": 8, "failed": [CHECK]}), look(5, data=None), look(10)]
    assert verdict("data_mismatch", mended[:2]).verdict == FAILED
    assert verdict("data_mismatch", mended).verdict == PASSED


def test_checks_of_before_a_gap_do_not_count() -> None:
    resumed = [look(0, data={"checked": 8, "failed": [CHECK]}), look(900, 890, data=None)]
    assert verdict("data_mismatch", resumed).verdict == NOT_VERIFIED


def test_a_failed_check_counts_more_than_one_that_could_not_be_made() -> None:
    assert verdict("leakage", [look(0, leakage={"checked": 2, "failed": [UNMADE, CHECK]})]).verdict == FAILED


def test_connections_that_nobody_could_count_leave_the_pool_as_it_was() -> None:
    full: dict[str, t.Any] = {"connections_used": 95}
    samples = [*held(30, **full), *looks(2, begin=35, connections_used=None), *held(30, begin=45, **full)]
    assert verdict("pool", samples).held_s == 75.0


def test_a_trigger_is_a_check() -> None:
    check = verdict("error_percent", held(300, requests=1000, errors_5xx=11)).as_check()
    assert (check.name, check.verdict) == ("error_percent", FAILED)
    assert check.expected == "at most 1.0 % of the requests, or more for less than 300 s"
    assert check.observed == "1.1 % of the requests for 300 s"


# What can be wrong with one look, and the same look made worse.
WORSE: dict[str, t.Any] = {
    "ready": {"api-1": False, "api-2": False},
    "errors_5xx": 100,
    "latency_p95_ms": 5000.0,
    "postgres_ok": False,
    "connections_used": 100,
    "data": {"checked": 8, "failed": [CHECK]},
    "leakage": {"checked": 2, "failed": [CHECK]},
    "migration": {"checked": 3, "failed": [CHECK]},
}
ONE_LOOK = st.fixed_dictionaries(
    {},
    optional={
        "ready": st.fixed_dictionaries({"api-1": st.booleans(), "api-2": st.booleans()}),
        "errors_5xx": st.integers(0, 100),
        "latency_p95_ms": st.floats(0, 2000),
        "postgres_ok": st.booleans(),
        "connections_used": st.integers(0, 100),
        "data": st.sampled_from([None, HEALTHY["data"], WORSE["data"]]),
    },
)
SERIES = st.lists(ONE_LOOK, min_size=1, max_size=60)
SHORT: dict[str, t.Any] = {
    "startup_timeout": 20,
    "error_ratio_duration": 60,
    "error_percent_duration": 40,
    "latency_duration": 30,
    "connection_timeout": 20,
    "pool_duration": 20,
}


def _names(samples: t.Sequence[Sample], every: float = EVERY_S) -> set[str]:
    scaled = {name: value * every / EVERY_S for name, value in SHORT.items()}
    return {name for name in NAMES if verdict(name, samples, **scaled).firing}


def _samples(states: t.Sequence[dict[str, t.Any]], every: float = EVERY_S) -> list[Sample]:
    return [look(every * place, **state) for place, state in enumerate(states)]


@given(states=SERIES, data=st.data())
def test_what_fires_still_fires_when_made_worse(states: list[dict[str, t.Any]], data: st.DataObject) -> None:
    worse = [dict(state) for state in states]
    for place in data.draw(st.sets(st.integers(0, len(states) - 1), max_size=5)):
        for name in data.draw(st.sets(st.sampled_from(sorted(WORSE)))):
            worse[place][name] = WORSE[name]
    assert _names(_samples(states)) <= _names(_samples(worse))


@given(states=SERIES, factor=st.sampled_from([2, 4, 8]))
def test_slower_looks_and_longer_durations_are_the_same(states: list[dict[str, t.Any]], factor: int) -> None:
    # Up to where a good stretch of a minute ends it, whatever the duration.
    assert _names(_samples(states)) == _names(_samples(states, EVERY_S * factor / 2), EVERY_S * factor / 2)


@given(states=SERIES, seed=st.integers())
def test_the_order_within_a_run_does_not_matter(states: list[dict[str, t.Any]], seed: int) -> None:
    samples = _samples(states)
    shuffled = list(samples)
    random.Random(seed).shuffle(shuffled)
    assert evaluate(samples, BASELINE) == evaluate(shuffled, BASELINE)


@given(states=SERIES, earlier=SERIES)
def test_what_was_before_a_gap_does_not_matter(states: list[dict[str, t.Any]], earlier: list[dict[str, t.Any]]) -> None:
    begin = 100_000.0
    later = [look(begin + 5 * place, begin, **state) for place, state in enumerate(states)]
    assert evaluate([*_samples(earlier), *later], BASELINE) == evaluate(later, BASELINE)


@given(states=SERIES)
def test_what_fires_has_held_and_exceeds(states: list[dict[str, t.Any]]) -> None:
    samples = _samples(states)
    for number in range(1, len(samples) + 1):
        seen = {sample.time for sample in samples[:number]}
        for trigger in fired(evaluate(samples[:number], BASELINE, Limits(**SHORT))):
            assert trigger.observed > trigger.threshold
            assert trigger.held_s >= trigger.needed_s
            assert trigger.since in seen


@given(states=SERIES)
def test_a_good_minute_ends_everything(states: list[dict[str, t.Any]]) -> None:
    samples = _samples(states)
    healed = [*samples, *looks(13, begin=5 * len(samples))]
    assert fired(evaluate(healed, BASELINE, Limits(**SHORT))) == []


@given(
    number=st.integers(1, 120),
    percent=st.floats(0, 1),
    p95=st.floats(0, 160),
    used=st.integers(0, 90),
    every=st.floats(0.2, 60),
)
def test_a_healthy_series_never_fires(number: int, percent: float, p95: float, used: int, every: float) -> None:
    errors = int(10 * percent)
    samples = looks(number, every=every, requests=1000, errors_5xx=errors, latency_p95_ms=p95, connections_used=used)
    assert fired(evaluate(samples, BASELINE)) == []
