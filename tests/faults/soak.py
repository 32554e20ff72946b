# SPDX-License-Identifier: GPL-3.0-or-later
"""C(python -m faults.soak): cut a profile over and back again and again under load, and count what was lost.

One stack and one load generator serve all rounds. After each switch the clients pause for a moment, and every
acknowledged write of every profile is looked up in the live store by SQL.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.machine import describe_machine
from benchmark.sections import write_section
from local_stack.errors import StackError
from local_stack.stack import Stack

from .clients import LoadGenerator
from .ledger import Event
from .load import base_url, items_of, tenant_dsn
from .modules import StepFailed
from .report import percentile, write_outage
from .soak_page import SECTION, render_section
from .soak_steps import METHODS, ROUTE, ModuleSteps, Steps, Switched
from .verifier import Store, Verdict, postgres_store, sqlite_store, verify

_ROOT = Path(__file__).resolve().parents[2]
MOVED = "assets_1"
_ITEMS_OF_CLIENTS = 200
_ROUNDS = 100
_PATIENCE = 60.0
# At least so many writes are acknowledged in each phase of a round; how many more is the seed's.
_WRITES = (5, 30)
Say = Callable[[str], None]


class SoakStopped(Exception):
    """A round could not be finished; C(results) are the figures of those before it."""

    def __init__(self, why: str, results: dict[str, Any]) -> None:
        super().__init__(why)
        self.results = results


@dataclass(frozen=True)
class Subject:
    """What a soak works on: a running stack with its stores, and the load on it."""

    generator: LoadGenerator
    sqlite: Store
    postgres: Store

    def verify(self, live: Store) -> Verdict:
        """Compare every acknowledged write with the live stores; C(live) is that of the profile that is moved."""
        with self.generator.quiet():
            stores = dict.fromkeys(self.generator.profiles, self.sqlite) | {MOVED: live}
            return verify(self.generator.expected, stores)


def one_round(subject: Subject, steps: Steps, seed: int) -> dict[str, Any]:
    """Cut over, watch and go back; return what happened.

    Raises:
        StepFailed: A step failed.
        TimeoutError: The application stopped to acknowledge writes.
    """
    started, chance = time.monotonic(), random.Random(seed)
    generator = subject.generator
    with generator.quiet():
        generator.forget_events()

    def write_on() -> None:
        generator.wait_for_writes({profile: chance.randint(*_WRITES) for profile in generator.profiles}, _PATIENCE)

    def written_after(switch: Switched) -> float:
        """Return when the first write was acknowledged that was sent after a switch."""
        while True:
            later = [
                event.ended
                for event in generator.events
                if event.is_write and not event.reason and event.key.profile == MOVED and event.sent >= switch.ended
            ]
            if later:
                return min(later)
            generator.wait_for_writes({MOVED: 1}, _PATIENCE)

    write_on()
    there = steps.cut_over(MOVED)
    there_until = written_after(there)
    write_on()
    halfway = subject.verify(subject.postgres)
    steps.watch(MOVED)
    write_on()
    back = steps.roll_back(MOVED)
    back_until = written_after(back)
    write_on()
    verdict = halfway + subject.verify(subject.sqlite)
    steps.clean_up(MOVED)

    events = generator.events
    report = generator.report()
    return {
        "seed": seed,
        "duration_s": round(time.monotonic() - started, 2),
        "lock_hold_ms": there.lock_hold_ms,
        "attempts": there.attempts,
        "write_outage_ms": _ms(write_outage(events, MOVED, (there.began, there_until))),
        "rollback_ms": _ms(back_until - back.began),
        "rollback_lock_hold_ms": back.lock_hold_ms,
        "rollback_outage_ms": _ms(write_outage(events, MOVED, (back.began, back_until))),
        "acknowledged": report.acknowledged,
        "lost": verdict.lost,
        "duplicated": verdict.duplicated,
        "done_though_refused": verdict.done_though_refused,
        "examples": verdict.examples,
        "profiles": report.as_dict(),
        "others_added_ms": _ms(_added_to_others(events, there.began, there_until)),
    }


def _added_to_others(events: Sequence[Event], began: float, ended: float) -> float | None:
    """Return by how much the slowest write of other profiles during a switch was slower than in as long before it."""

    def slowest(since: float, until: float) -> float | None:
        return max(
            (
                event.ended - event.sent
                for event in events
                if event.is_write and event.key.profile != MOVED and event.ended >= since and event.sent <= until
            ),
            default=None,
        )

    before, during = slowest(2 * began - ended, began), slowest(began, ended)
    return None if before is None or during is None else during - before


def summary(rounds: list[Mapping[str, Any]], method: str) -> dict[str, Any]:
    """Return the figures of all rounds together."""

    def total(name: str) -> int:
        return sum(each[name] for each in rounds)

    def spread(name: str) -> dict[str, float] | None:
        values = [float(each[name]) for each in rounds if each[name] is not None]
        if not values:
            return None
        return {f"p{percent}": percentile(values, percent) for percent in (50, 95, 99)} | {"max": max(values)}

    def over_profiles(name: str, moved: bool) -> int:
        return sum(
            profile[name]
            for each in rounds
            for source_id, profile in each["profiles"].items()
            if (source_id == MOVED) is moved
        )

    return {
        "method": method,
        "rounds": len(rounds),
        "seeds": [each["seed"] for each in rounds],
        "acknowledged": total("acknowledged"),
        "lost": total("lost"),
        "duplicated": total("duplicated"),
        "done_though_refused": total("done_though_refused"),
        "lock_hold_ms": spread("lock_hold_ms"),
        "write_outage_ms": spread("write_outage_ms"),
        "rollback_ms": spread("rollback_ms"),
        "rollback_lock_hold_ms": spread("rollback_lock_hold_ms"),
        "rollback_outage_ms": spread("rollback_outage_ms"),
        "others_added_ms": spread("others_added_ms"),
        "refused": over_profiles("refused", moved=True),
        "unanswered": over_profiles("unanswered", moved=True),
        "failed_reads": over_profiles("failed_reads", moved=True),
        "others_refused": over_profiles("refused", moved=False) + over_profiles("unanswered", moved=False),
        "others_failed_reads": over_profiles("failed_reads", moved=False),
        "examples": [text for each in rounds for text in each["examples"]][:10],
    }


def is_good(results: Mapping[str, Any]) -> bool:
    """Tell whether nothing was lost, doubled, or done behind a refusal, and no other profile noticed anything."""
    bad = ("lost", "duplicated", "done_though_refused", "others_refused", "others_failed_reads")
    return bool(results["rounds"] and results["acknowledged"]) and not any(results[name] for name in bad)


def soak(
    folder: Path, rounds: int, seed: int, method: str, items: int = 800, say: Say = print, clients: int = 8
) -> dict[str, Any]:
    """Run it on a stack of its own, and return the figures.

    Args:
        folder: For the stack; it is purged at the end.
        rounds: How many rounds.
        seed: That of the first round; each next one has the next number.
        method: L(ROUTE) or L(RESTART).
        items: How many items the profile has that is cut over.
        say: Told what happens.
        clients: How many clients write.

    Raises:
        SoakStopped: A step failed, or the application stopped to acknowledge writes.
    """
    stack = Stack(folder / "stack")
    stack.down(purge=True)  # one that was killed may be there, made for another method
    stack.up(items={MOVED: items, "assets_2": max(items // 4, _ITEMS_OF_CLIENTS)}, router=method == ROUTE)
    done: list[Mapping[str, Any]] = []
    try:
        description, secrets = stack.describe(), stack.secrets()
        say(f"method {method}, {rounds} round(s), {clients} clients, first seed {seed}")
        own = items_of(description["sqlite_path"], list(description["profiles"]), _ITEMS_OF_CLIENTS)
        generator = LoadGenerator(own, lambda profile: base_url(description, profile), seed, clients)
        dsn = tenant_dsn(description, secrets)
        subject = Subject(generator, sqlite_store(description["sqlite_path"]), postgres_store(dsn))
        steps = ModuleSteps(description, secrets, method, folder / "snapshots")
        with generator:
            for number in range(rounds):
                try:
                    done.append(one_round(subject, steps, seed + number))
                except (StepFailed, TimeoutError) as error:
                    why = f"round {number + 1} of {rounds}, seed {seed + number}: {error}"
                    raise SoakStopped(why, {**summary(done, method), "each": done}) from error
                say(_line(number + 1, done[-1]))
    finally:
        stack.down(purge=True)
    return {**summary(done, method), "items": items, "clients": clients, "each": done}


def main() -> int:
    """Run it and return the exit status: 0 when nothing was lost."""
    options = _parse()
    seed = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
    failure = ""
    try:
        results = soak(options.folder.resolve(), options.rounds, seed, options.method, options.items, _say)
    except StackError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    except SoakStopped as error:
        failure, results = str(error), error.results
    results |= {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "failure": failure,
    }
    whole = _with_earlier(options.json, results)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    good = is_good(results) and not failure
    if good:
        # What people read is not replaced by the figures of a broken run.
        write_section(options.markdown, SECTION, render_section(whole["runs"]))
    short = {name: value for name, value in results.items() if name not in ("each", "machine", "seeds")}
    print(json.dumps(short, indent=2))
    print(f"\nWritten: {options.json}" + (f", {options.markdown}" if good else ""))
    if failure:
        print(f"soak: {failure}", file=sys.stderr)
    return 0 if good else 1


def _with_earlier(path: Path, results: dict[str, Any]) -> dict[str, Any]:
    """Return this run's results with the last one of each method, so that the page can show both."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))["runs"]
    except (OSError, ValueError, KeyError):
        earlier = {}
    shown = {name: value for name, value in results.items() if name != "each"}
    # One that was written by an older version of this may lack what the page shows.
    complete = {method: run for method, run in earlier.items() if shown.keys() <= run.keys()}
    return {**results, "runs": {**complete, results["method"]: shown}}


def _line(number: int, each: Mapping[str, Any]) -> str:
    figures = ", ".join(f"{name} {each[f'{name}_ms']:.0f} ms" for name in ("lock_hold", "write_outage", "rollback"))
    moved = each["profiles"][MOVED]
    return (
        f"round {number}, seed {each['seed']}: {each['acknowledged']} acknowledged, {each['lost']} lost,"
        f" {each['duplicated']} duplicated, {moved['refused']} refused, {moved['unanswered']} unanswered; {figures};"
        f" {each['duration_s']:.0f} s in all"
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _say(text: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="faults.soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--seed", type=int, help="of the first round; default: a new one, which is printed")
    parser.add_argument("--method", choices=METHODS, default=ROUTE, help="how the traffic is switched")
    parser.add_argument("--items", type=int, default=800, help="items of the profile that is cut over")
    parser.add_argument("--folder", type=Path, default=_ROOT / "build" / "soak", help="for the stack and snapshots")
    parser.add_argument("--json", type=Path, default=_ROOT / "build" / "soak.json")
    parser.add_argument("--markdown", type=Path, default=_ROOT / "docs" / "benchmarks.md")
    found = parser.parse_args()
    if found.rounds < 1 or found.items < _ITEMS_OF_CLIENTS:
        parser.error(f"at least 1 round and {_ITEMS_OF_CLIENTS} items")
    return found


if __name__ == "__main__":
    sys.exit(main())
