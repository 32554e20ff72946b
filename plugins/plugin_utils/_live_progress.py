# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Run a module as always, and show meanwhile what it writes into its progress file.

The module runs the usual way (pipelining, become, timeout, interruption and result are those of any module), and a
thread beside it reads the file through the same connection now and then. Starting it in the background and asking
for it would need none, but would cost a second more and change all of these.
"""

from __future__ import annotations

import copy
import secrets
import shlex
import threading
import time
import typing as t

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.plugins.loader import callback_loader
from ansible.utils.display import Display
from ansible_collections.sxops.pg_cutover.plugins.plugin_utils import _progress_lines

OPTION = "progress_file"
# Their every command is a process of its own, so a second one does not get into the way of the module's.
_CONNECTIONS = ("local", "ssh")
# Where the class of the default callback is found, under its short name and its full one.
_DEFAULT_CALLBACK = {"ansible.plugins.callback.default", "ansible_collections.ansible.builtin.plugins.callback.default"}
_PAUSE = 1.0  # seconds between two looks
_LOOKING = 10  # and at least so many times as long as a look takes
_PATIENCE = 15.0  # seconds after which a look that hangs is given up at the end

display = Display()


class Follower:
    """A thread that looks at the progress every second until it is stopped.

    Args:
        look: Returns the new lines; it is told how many were seen, and whether this is the last look.
        show: Shows a line to a person.
    """

    def __init__(
        self, look: t.Callable[[int, bool], str], show: t.Callable[[str], None], pause: float = _PAUSE
    ) -> None:
        self._look = look
        self._show = show
        self._pause = pause
        self._seen = 0
        self._choice = _progress_lines.Choice()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> bool:
        """Stop looking; return whether the thread is at rest."""
        self._over.set()
        self._thread.join(_PATIENCE)
        return not self._thread.is_alive()

    def tell(self, last: bool = False) -> None:
        """Look once, and show what is worth it."""
        text = self._look(self._seen, last)
        # The last line may be half written as yet.
        text = text[: text.rfind("\n") + 1]
        self._seen += text.count("\n")
        for line in self._choice.of(text, last):
            self._show(_progress_lines.wording(line))

    def _follow(self) -> None:
        pause = self._pause
        while not self._over.wait(pause):
            started = time.monotonic()
            try:
                self.tell()
            except Exception as error:
                # Whatever it is, the module is to run on, and its result is what counts.
                display.vvv(f"No more progress is shown: {error}")
                return
            pause = max(self._pause, _LOOKING * (time.monotonic() - started))


class LiveProgress(NormalAction):
    """The action plugin of a module with the option C(progress_file)."""

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        if not self._can_show():
            return super().run(tmp, task_vars)
        arguments = self._task.args
        # The module makes it, and refuses one that is there: nobody can lay a trap under a name that nobody can guess.
        path = f"{self._temporary_folder()}/pg_cutover_{secrets.token_hex(16)}.jsonl"
        reader = self._second_hand()
        label = self._label(task_vars)
        follower = Follower(
            lambda seen, last: reader.read(path, seen, remove=last), lambda line: display.display(label + line)
        )
        self._task.args = {**arguments, OPTION: path}
        reachable = True
        follower.start()
        try:
            result: dict[str, t.Any] = super().run(tmp, task_vars)
        except AnsibleConnectionFailure:
            reachable = False
            raise
        finally:
            self._task.args = arguments
            if follower.stop() and reachable:
                _finish(follower)
        named = result.get("invocation", {}).get("module_args", {})
        if OPTION in named:
            named[OPTION] = None
        return result

    def read(self, path: str, seen: int, remove: bool = False) -> str:
        """Return the lines of a file of the managed host after the first so many; nothing when it is not there."""
        file = shlex.quote(path)
        command = f"tail -n +{seen + 1} {file} 2>/dev/null"
        answer = self._low_level_execute_command(f"{command}; rm -f {file}" if remove else command)
        return str(answer["stdout"])

    def _can_show(self) -> bool:
        return (
            not self._task.async_val
            and not self._task.no_log
            and not self._task.args.get(OPTION)
            and self._connection.transport in _CONNECTIONS
            and writes_for_people(C.DEFAULT_STDOUT_CALLBACK)
            and not context.CLIARGS.get("one_line")  # ansible -o
        )

    def _temporary_folder(self) -> str:
        folders = self.get_shell_option("system_tmpdirs") or ["/tmp"]
        return str(folders[-1])

    def _second_hand(self) -> LiveProgress:
        """Return this action once more, with a connection and a become plugin that may be in use at the same time."""
        other = copy.copy(self)
        other._connection = copy.copy(self._connection)
        other._connection.become = copy.copy(self._connection.become)
        return other

    def _label(self, task_vars: dict[str, t.Any] | None) -> str:
        variables = task_vars or {}
        host = f"{variables.get('inventory_hostname')}: " if len(variables.get("ansible_play_hosts") or ()) > 1 else ""
        profile = _progress_lines.printable(str(self._task.args.get("source_id", "")))
        return f"{host}{profile} " if profile else host


def _finish(follower: Follower) -> None:
    try:
        follower.tell(last=True)
    except Exception as error:
        display.vvv(f"The end of the progress is not shown, and its file not removed: {error}")


def writes_for_people(name: str) -> bool:
    """Whether that standard output callback writes for people: the default one, and what is built on it.

    Others promise a form, as JSON, that a line of ours in between would break.
    """
    callback = callback_loader.get(name, class_only=True)
    bases = {base.__module__ for base in getattr(callback, "__mro__", ())}
    return bool(bases & _DEFAULT_CALLBACK) and "json" not in name.lower()
