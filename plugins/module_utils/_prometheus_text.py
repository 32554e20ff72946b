# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Figures as Prometheus reads them from a text file."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import tempfile
import typing as t

from ._errors import MetricsError
from ._file_replacement import write_through

GAUGE, COUNTER = "gauge", "counter"
MODE = 0o644  # the exporter runs as another user


@dataclasses.dataclass
class Family:
    """One metric with its values, by label.

    Args:
        name: Ends with the base unit, and a counter's with C(_total).
        kind: C(gauge) or C(counter).
        meaning: One sentence.
    """

    name: str
    kind: str
    meaning: str
    samples: list[tuple[dict[str, str], float]] = dataclasses.field(default_factory=list)

    def add(self, value: float | None, **labels: str | None) -> None:
        """Add a value; one that is not known is left out."""
        if value is not None:
            self.samples.append(({name: str(text) for name, text in labels.items()}, float(value)))


def render(families: t.Iterable[Family]) -> str:
    """Return the text; a family without values is left out."""
    lines: list[str] = []
    for family in families:
        if family.samples:
            lines += [f"# HELP {family.name} {_escaped(family.meaning)}", f"# TYPE {family.name} {family.kind}"]
            lines += [f"{family.name}{_labels(labels)} {_number(value)}" for labels, value in family.samples]
    return "".join(line + "\n" for line in lines)


def _labels(labels: t.Mapping[str, str]) -> str:
    written = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items())
    return "{" + written + "}" if written else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)


def put(folder: pathlib.Path, name: str, text: str) -> pathlib.Path:
    """Put the text in place as a whole: a reader sees the old file or the new one.

    Raises:
        MetricsError: The folder is missing, or cannot be written to; the file is as it was.
    """
    target = folder / name
    try:
        # The exporter reads no file that ends otherwise.
        handle, new = tempfile.mkstemp(prefix=f".{name}.", suffix=".new", dir=folder)
        try:
            os.fchmod(handle, MODE)
            write_through(handle, text.encode("utf-8"))
            pathlib.Path(new).replace(target)
        except BaseException:
            pathlib.Path(new).unlink()
            raise
    except OSError as error:
        raise MetricsError(
            f"The figures cannot be written to {target}",
            error.strerror or str(error),
            "cutover_metrics_dir names the folder of node_exporter's textfile collector, which must exist.",
        ) from error
    return target
