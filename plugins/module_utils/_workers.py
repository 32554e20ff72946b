# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Forked processes that work at the same time, each with connections of its own.

They are forked before any store is opened: neither a SQLite nor a PostgreSQL connection survives a fork
(https://www.sqlite.org/howtocorrupt.html, 2.6). A process serves one object, whose methods are its tasks; it ends when
the process that forked it does.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import traceback
import typing as t

from ._errors import CutoverError

if t.TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe
    from multiprocessing.process import BaseProcess

_SECONDS_TO_END = 10.0
Job = tuple[t.Any, ...]
Say = t.Callable[[t.Any], None]


class WorkerDied(CutoverError):
    """A worker process ended in the middle of its work, usually because the system ran out of memory."""

    code = "worker_died"


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers:
    """So many processes, each serving an object that C(make) returns there.

    Args:
        count: How many.
        make: Called in each process with a function that says something to L(spread)'s C(heard) while a task runs.
        name: What they are called in messages, with a number.
    """

    def __init__(self, count: int, make: t.Callable[[Say], t.Any], name: str = "worker") -> None:
        context = multiprocessing.get_context("fork")
        self._pipes: list[Pipe] = []
        self._processes: list[BaseProcess] = []
        for number in range(count):
            ours, theirs = context.Pipe()
            # A copy of another worker's pipe would keep that one alive after this process.
            inherited = [*self._pipes, ours]
            process = context.Process(target=_serve, args=(theirs, make, inherited), name=f"{name}-{number + 1}")
            process.daemon = True
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._pipes)

    def close(self, patience: float = _SECONDS_TO_END) -> None:
        """End all processes; what they had not committed is rolled back with their sessions. Again, nothing happens.

        Args:
            patience: For how many seconds each may go on with what it does, before it is killed.
        """
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(patience)
            if process.is_alive():
                process.kill()
                process.join()

    def each(self, task: str, *arguments: t.Any) -> list[t.Any]:
        """Let every worker do one task at the same time, and return their answers in their order.

        Raises:
            CutoverError: The first failure, once all have ended the task.
        """
        self.begin(task, *arguments)
        return self.answers()

    def begin(self, task: str, *arguments: t.Any) -> None:
        """Let every worker begin a task; L(answers) has to be called before the next one."""
        for pipe in self._pipes:
            self._send(pipe, (task, arguments))

    def answers(self) -> list[t.Any]:
        """Return what all answer to the task that was begun, in their order.

        Raises:
            CutoverError: The first failure, once all have ended the task.
        """
        answers = []
        for pipe in self._pipes:
            kind, content = self._receive(pipe)
            while kind == _SAID:
                kind, content = self._receive(pipe)
            answers.append((kind, content))
        for kind, content in answers:
            if kind == _FAILED:
                raise content
        return [content for _kind, content in answers]

    def spread(self, task: str, jobs: t.Sequence[Job], heard: Say) -> list[t.Any]:
        """Give the jobs, in their order, to whichever worker is free; return the answers in the order of the jobs.

        Args:
            task: The name of the method.
            jobs: Its arguments, one tuple per job.
            heard: Called here with everything that a worker says in between.

        Raises:
            CutoverError: The first failure, once all that was begun has ended; no further job is begun then.
        """
        waiting = list(enumerate(jobs))
        answers: list[t.Any] = [None] * len(jobs)
        failures: list[Exception] = []
        working: dict[Pipe, int] = {}
        free = list(self._pipes)
        while working or (waiting and not failures):
            while free and waiting and not failures:
                place, job = waiting.pop(0)
                pipe = free.pop(0)
                self._send(pipe, (task, job))
                working[pipe] = place
            for pipe in t.cast("list[Pipe]", multiprocessing.connection.wait(list(working))):
                kind, content = self._receive(pipe)
                if kind == _SAID:
                    heard(content)
                    continue
                place = working.pop(pipe)
                if kind == _FAILED:
                    failures.append(content)
                else:
                    answers[place] = content
                if not isinstance(content, WorkerDied):
                    free.append(pipe)
        if failures:
            raise failures[0]
        return answers

    def _send(self, pipe: Pipe, request: tuple[str, Job]) -> None:
        with contextlib.suppress(OSError):  # a worker that is gone is noticed where its answer is awaited
            pipe.send(request)

    def _receive(self, pipe: Pipe) -> tuple[str, t.Any]:
        try:
            answer: tuple[str, t.Any] = pipe.recv()
            return answer
        except (EOFError, OSError):
            process = self._processes[self._pipes.index(pipe)]
            process.join(_SECONDS_TO_END)
            code = process.exitcode
            how = f"signal {-code} ended it" if code and code < 0 else f"it ended with code {code}"
            return _FAILED, WorkerDied(
                f"Process {process.name} is gone",
                how,
                "Nothing that it had not finished was kept. If the system ran out of memory, give it more or set "
                "workers: 1, and run the same command again.",
            )


_DONE, _FAILED, _SAID = "done", "failed", "said"


def _serve(pipe: Pipe, make: t.Callable[[Say], t.Any], inherited: t.Sequence[Pipe]) -> None:
    for other in inherited:
        other.close()
    served = make(lambda content: pipe.send((_SAID, content)))
    with contextlib.suppress(EOFError, OSError):  # the process that forked this one is gone, or needs it no more
        while True:
            task, arguments = pipe.recv()
            try:
                pipe.send((_DONE, getattr(served, task)(*arguments)))
            except Exception as error:
                pipe.send((_FAILED, _portable(error)))


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    return error
