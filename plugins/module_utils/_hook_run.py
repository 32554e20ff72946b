# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The operator's own command at the boundary of a phase: what it is told, how long it may take, what is kept of it."""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t

from ._errors import BadInput, HookError
from ._ledger import without_secrets
from ._redact import redact_text

# (argv, standard input, environment) -> (exit status, standard output, standard error)
Runner = t.Callable[[t.List[str], str, t.Mapping[str, str]], t.Tuple[int, str, str]]  # noqa: UP006 - evaluated at run time

PREFIX = "PG_CUTOVER_"
MOST_OUTPUT = 2000  # characters, of the end
TIMED_OUT = 124, 137  # what the program timeout ends with: it was told to stop, or had to be killed
_GRACE = 5  # seconds between the two
_SHORTEST_SECRET = 4  # a shorter value is no secret, and would be found everywhere


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a hook came to."""

    status: int
    timed_out: bool
    duration_ms: int
    output: str


def variables_of(facts: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Return the facts that are one value each as the variables that a command gets; nothing for an unknown one."""
    return {
        PREFIX + name.upper(): "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in facts.items()
        if value is None or isinstance(value, (str, int, float))
    }


def own_variables(text: str | None) -> dict[str, str]:
    """Return the operator's own variables, from the JSON that they are handed over as.

    They come as one text because Ansible masks every value of a secret dictionary wherever it stands in a result, and
    one that is C(1) stands in every number.

    Raises:
        BadInput: The text is no JSON object of single values, or one of them takes the place of a fact.
    """
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise BadInput("The environment of a hook cannot be read", "it is not JSON") from error
    if not isinstance(found, dict) or any(isinstance(value, (dict, list)) for value in found.values()):
        raise BadInput("The environment of a hook cannot be used", "each variable has one value")
    taken = sorted(name for name in found if name.startswith(PREFIX))
    if taken:
        raise BadInput(f"The environment of a hook may not say {', '.join(taken)}", f"{PREFIX}* are the run's facts")
    return {str(name): "" if value is None else str(value) for name, value in found.items()}


def run_hook(
    runner: Runner,
    timeout_program: str,
    command: t.Sequence[str],
    environment: t.Mapping[str, str],
    facts: t.Mapping[str, t.Any],
    timeout: int,
) -> Ran:
    """Run the command with the facts as variables, and as one JSON object on its standard input.

    Args:
        runner: Runs a program.
        timeout_program: The program C(timeout), which stops the command with everything that it started.
        command: Program and arguments.
        environment: More variables; their values are masked in what is kept of the output.
        facts: The facts of the run. Secrets among them are masked.
        timeout: For how many seconds it may run.
    """
    told = without_secrets(dict(facts))
    argv = [timeout_program, "-k", str(_GRACE), str(timeout), *command]
    began = time.monotonic()
    status, out, err = runner(argv, json.dumps(told) + "\n", {**environment, **variables_of(told)})
    duration = time.monotonic() - began
    return Ran(
        status,
        status in TIMED_OUT and duration >= timeout,
        int(duration * 1000),
        last_words(out, err, environment.values()),
    )


def last_words(out: str, err: str, secrets: t.Iterable[str]) -> str:
    """Return the end of what was printed, the secrets masked before it is cut."""
    text = "\n".join(part.strip() for part in (out, err) if part.strip())
    text = redact_text(text, [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET])
    return text if len(text) <= MOST_OUTPUT else "[...] " + text[-MOST_OUTPUT:]


def failure(hook: str, program: str, timeout: int, ran: Ran) -> HookError:
    """Return the error of a hook that ended with another status than 0."""
    why = f"it took longer than {timeout} s and was stopped" if ran.timed_out else f"it ended with status {ran.status}"
    said = f", and said last: {ran.output}" if ran.output else ", and said nothing"
    return HookError(f"Hook {hook} ({program}) failed", why + said, **dataclasses.asdict(ran))
