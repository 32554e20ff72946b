# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What one look of the watch saw: a line of the samples file, which a resumed watch reads again."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import typing as t

from ._errors import CutoverError

MOST_POINTS = 240


class SamplesError(CutoverError):
    """The samples file of the watch cannot be read or written."""

    code = "samples"


@dataclasses.dataclass(frozen=True)
class Sample:
    """One look. What is None was not looked at, or could not be found out.

    Args:
        time: When, by the clock of the wall.
        elapsed_s: Seconds of a clock that is never set, since C(run_started).
        run_started: When the watch that looked began; another one after an interruption.
        ready: Per instance, whether it answered as it must; C(ready_failures) says what it said instead.
        probe_ms: Per instance, how long its answer took.
        probes: How many questions of our own were asked, C(probes_5xx) how many of them a 5xx answered.
        requests: Requests in the log since the last sample; None without a log.
        latency_p95_ms: Of these requests.
        connections_limit: How many connections the profile's role may have.
        data, leakage, migration: None, or C(checked) (a number) and C(failed) (checks as dicts).
    """

    time: str
    elapsed_s: float
    run_started: str
    ready: t.Mapping[str, bool] = dataclasses.field(default_factory=dict)
    ready_failures: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    probe_ms: t.Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    probes: int = 0
    probes_5xx: int = 0
    requests: int | None = None
    errors_4xx: int | None = None
    errors_5xx: int | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    postgres_ok: bool | None = None
    postgres_message: str = ""
    connections_used: int | None = None
    connections_limit: int | None = None
    pending: int | None = None
    lag_s: float | None = None
    replayed: int = 0
    deleted: int = 0
    data: t.Mapping[str, t.Any] | None = None
    leakage: t.Mapping[str, t.Any] | None = None
    migration: t.Mapping[str, t.Any] | None = None

    @property
    def ready_share(self) -> float | None:
        """The share of the instances that were ready, 0 to 1."""
        return sum(map(bool, self.ready.values())) / len(self.ready) if self.ready else None

    @property
    def slowest_probe_ms(self) -> float | None:
        """The longest answer of an instance."""
        known = [value for value in self.probe_ms.values() if value is not None]
        return max(known) if known else None

    @property
    def connections_percent(self) -> float | None:
        """How much of the connections is in use."""
        if self.connections_used is None or not self.connections_limit:
            return None
        return 100 * self.connections_used / self.connections_limit

    def as_dict(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


def sample_of(fields: t.Mapping[str, t.Any]) -> Sample:
    """Return the sample of a line's fields; fields that a later version added are passed over.

    Raises:
        TypeError: A field that every sample has is missing.
    """
    known = {field.name for field in dataclasses.fields(Sample)}
    return Sample(**{name: value for name, value in fields.items() if name in known})


def append_sample(path: str, sample: Sample) -> None:
    """Add a sample to the file, which is made with mode C(0600). A half line of a crash is ended first.

    Raises:
        SamplesError: The file cannot be written.
    """
    line = json.dumps(sample.as_dict(), separators=(",", ":"), sort_keys=True).encode() + b"\n"
    try:
        number = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(number, "r+b", buffering=0) as stream:
            if stream.seek(0, os.SEEK_END) > 0:
                stream.seek(-1, os.SEEK_END)
                line = line if stream.read(1) == b"\n" else b"\n" + line
            stream.write(line)
    except OSError as error:
        raise SamplesError(
            f"The samples file {path} cannot be written",
            error.strerror or str(error),
            "Make room or give the folder to the user who runs the watch.",
        ) from error


def read_samples(path: str) -> list[Sample]:
    """Return the samples of a file in their order; none when there is no file. A line cut by a crash is left out.

    Raises:
        SamplesError: The file cannot be read.
    """
    found = []
    try:
        with pathlib.Path(path).open("rb") as stream:
            for line in stream:
                try:
                    found.append(sample_of(json.loads(line)))
                except (ValueError, TypeError, AttributeError):
                    continue
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SamplesError(f"The samples file {path} cannot be read", error.strerror or str(error)) from error
    return found


def series(samples: t.Sequence[Sample], most: int = MOST_POINTS) -> list[dict[str, t.Any]]:
    """Return the numbers that a chart needs, at most so many points.

    Where samples are put together, their worst counts, so that no peak is lost; requests are added up. A point never
    spans two runs of the watch unless there are more runs than points.
    """
    if not samples:
        return []
    groups = _grouped(samples, -(-len(samples) // most))
    if len(groups) > most:
        groups = _grouped(samples, -(-len(samples) // most), across=True)
    return [_point(group) for group in groups]


def _grouped(samples: t.Sequence[Sample], size: int, *, across: bool = False) -> list[list[Sample]]:
    groups: list[list[Sample]] = []
    for sample in samples:
        last = groups[-1] if groups else None
        if last and len(last) < size and (across or last[-1].run_started == sample.run_started):
            last.append(sample)
        else:
            groups.append([sample])
    return groups


def _point(group: t.Sequence[Sample]) -> dict[str, t.Any]:
    last = group[-1]
    counted = [sample for sample in group if sample.requests is not None]
    requests = sum(sample.requests or 0 for sample in counted)
    errors = sum(sample.errors_5xx or 0 for sample in counted)
    shares = [sample.ready_share for sample in group if sample.ready_share is not None]
    percent = _most(sample.connections_percent for sample in group)
    reached = [sample.postgres_ok for sample in group if sample.postgres_ok is not None]
    return {
        "time": last.time,
        "elapsed_s": last.elapsed_s,
        "requests": requests if counted else None,
        "error_percent": round(100 * errors / requests, 3) if requests else None,
        "latency_p95_ms": _most(sample.latency_p95_ms for sample in group),
        "probe_ms": _most(sample.slowest_probe_ms for sample in group),
        "ready": round(min(shares), 3) if shares else None,
        "connections_percent": None if percent is None else round(percent, 1),
        "pending": _most(sample.pending for sample in group),
        "lag_s": _most(sample.lag_s for sample in group),
        "postgres_ok": all(reached) if reached else None,
    }


def _most(values: t.Iterable[t.Any]) -> t.Any:
    known = [value for value in values if value is not None]
    return max(known) if known else None
