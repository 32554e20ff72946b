# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Flip an application's settings file: plan without writing, then replace it in one atomic step."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import re
import stat
import typing as t

from . import _settings_env, _settings_json, _settings_yaml
from ._errors import BadInput, SettingsError
from ._file_replacement import ChangedMeanwhile, replace_file, write_through
from ._redact import MASK
from ._settings_edit import Change, Edit

_BOM = b"\xef\xbb\xbf"
_EDITORS: t.Mapping[str, t.Callable[[str, t.Mapping[str, t.Any], str], Edit]] = {
    "env": _settings_env.edit,
    "json": _settings_json.edit,
    "yaml": _settings_yaml.edit,
}


@dataclasses.dataclass(frozen=True)
class SettingsPlan:
    """What flipping the file comes to; nothing has been written yet.

    C(target) is the file itself where C(path) is a link. C(observed) holds no secrets, neither does C(diff).
    """

    path: str
    target: str
    before: bytes = dataclasses.field(repr=False)
    after: bytes = dataclasses.field(repr=False)
    keys_changed: tuple[str, ...]
    observed: dict[str, t.Any]
    diff: dict[str, str]
    notes: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return self.before != self.after


def plan_settings(
    path: str, file_format: str, settings: t.Mapping[str, t.Any], secrets: t.Mapping[str, t.Any]
) -> SettingsPlan:
    """Return what has to change for the file to hold these settings, having proven that it could be written.

    Args:
        path: The settings file; a link is followed and kept.
        file_format: C(env), C(json) or C(yaml).
        settings: Key (dotted path in json and yaml) to value; None means the key must be absent.
        secrets: The same for values that never leave this host; they are masked in the diff and not observed.

    Raises:
        BadInput: No key was named, a key is in both, or a key or value cannot stand in such a file.
        MissingDependency: A YAML file is to be edited and ruamel.yaml is missing.
        SettingsError: The file is missing, no regular file, unreadable, unwritable, invalid or ambiguous.
    """
    twice = sorted(set(settings) & set(secrets))
    if twice or not (settings or secrets):
        raise BadInput(
            f"Settings key {twice[0]} stands in both settings and secrets" if twice else "No settings key was named",
            remedy="Name each key once, in settings or (when its value is secret) in secrets.",
        )
    target = _locate(path)
    before = _read(path, target)
    _prove_writable(path, target)
    bom = _BOM if before.startswith(_BOM) else b""
    try:
        text = before[len(bom) :].decode("utf-8", "surrogateescape" if file_format == "env" else "strict")
    except UnicodeDecodeError as error:
        raise SettingsError(f"Settings file {path} is not UTF-8 text", f"byte {error.start}") from error
    edit = _EDITORS[file_format](text, {**settings, **secrets}, f"Settings file {path}")
    first = re.match(r"\s*(?:export[ \t]+)?(\w+)", text)
    if bom and file_format == "env" and first and first.group(1) in edit.observed:
        raise SettingsError(
            f"Settings file {path} starts with a byte order mark",
            "a shell takes it as part of the first name",
            "Save it as UTF-8 without a byte order mark.",
        )
    try:
        after = bom + edit.text.encode("utf-8", "surrogateescape" if file_format == "env" else "strict")
    except UnicodeEncodeError as error:
        raise BadInput(f"Settings file {path} cannot hold one of the values", "it is no valid Unicode text") from error
    return SettingsPlan(
        path=path,
        target=str(target),
        before=before,
        after=after,
        keys_changed=tuple(change.key for change in edit.changes),
        observed={key: value for key, value in edit.observed.items() if key in settings},
        diff=_diff(path, edit.changes, secrets),
        notes=edit.notes + _link_note(path, target, bool(edit.changes)),
    )


def apply_settings(plan: SettingsPlan, backup: bool = True) -> str | None:
    """Replace the file by what was planned, atomically; return the path of the backup copy, None without one.

    Mode, owner and, where the file system allows, extended attributes (ACLs, SELinux) are kept. The backup
    holds the secrets of the file, so its mode is 0600.

    Raises:
        SettingsError: The file changed since the plan was made, or writing failed; it is as it was then.
    """
    if not plan.changed:
        return None
    target = pathlib.Path(plan.target)
    kept: pathlib.Path | None = None
    try:
        kept = _keep_copy(target, plan.before) if backup else None
        _replace(target, plan)
    except (OSError, SettingsError) as error:
        if kept:
            kept.unlink()
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(
            f"Settings file {plan.path} could not be written",
            f"{error.strerror or error} ({error.filename or target})",
            "It is as it was. Make room or correct the permissions, then run this again.",
        ) from error
    return str(kept) if kept else None


def _locate(path: str) -> pathlib.Path:
    given = pathlib.Path(path)
    target = pathlib.Path(os.path.realpath(given))
    linked = f" (through the link, {target})" if given.is_symlink() else ""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError as error:
        raise SettingsError(
            f"Settings file {path} does not exist{linked}",
            remedy="Correct settings_file of the profile. The application reads it at its start; it is never "
            "created here, because a new file would lack every other setting.",
        ) from error
    except OSError as error:
        raise SettingsError(f"Settings file {path} cannot be read{linked}", error.strerror or str(error)) from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise SettingsError(
            f"Settings file {path} is {kind}{linked}",
            remedy="Name the file that the application reads at its start.",
        )
    return target


def _read(path: str, target: pathlib.Path) -> bytes:
    try:
        return target.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"Settings file {path} cannot be read",
            error.strerror or str(error),
            "Run this as a user who may read and write it (become: true).",
        ) from error


def _prove_writable(path: str, target: pathlib.Path) -> None:
    """Find out without writing anything whether the file can be replaced, so that check mode says so too."""
    remedy = "Run this as a user who may write it (become: true), or lift what protects it (mount option, chattr)."
    try:
        # Opening alone changes nothing, and fails for root too on an immutable file or a read-only mount.
        os.close(os.open(target, os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        raise SettingsError(f"Settings file {path} cannot be written", error.strerror or str(error), remedy) from error
    folder = target.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"Settings file {path} cannot be replaced", f"its folder {folder} cannot be written", remedy
        )
    if _is_mount_point(target):
        raise SettingsError(
            f"Settings file {path} cannot be replaced",
            f"{target} is itself a mount point (a single file mounted into a container)",
            "Mount its folder instead, or run this where the real file lies.",
        )
    status = target.stat()
    if os.geteuid() != 0 and (status.st_uid != os.geteuid() or status.st_gid not in {os.getegid(), *os.getgroups()}):
        raise SettingsError(
            f"Settings file {path} cannot be replaced",
            f"it belongs to uid {status.st_uid}, gid {status.st_gid}, and only root could keep that",
            "Run this as that user or as root (become: true).",
        )


def _is_mount_point(target: pathlib.Path) -> bool:
    try:
        table = pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    points = (line.split(" ")[4] for line in table.splitlines() if line.count(" ") > 4)
    return str(target) in (re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), point) for point in points)


def _link_note(path: str, target: pathlib.Path, changing: bool) -> tuple[str, ...]:
    if changing and target.stat().st_nlink > 1:
        return (f"Settings file {path} has other hard links; they keep the old content.",)
    return ()


def _diff(path: str, changes: t.Iterable[Change], secrets: t.Mapping[str, t.Any]) -> dict[str, str]:
    before, after = [], []
    for change in changes:
        secret = change.key in secrets
        if change.before is not None:
            before.append(f"{change.key}: {MASK} (old value)" if secret else change.before)
        if change.after is not None:
            after.append(f"{change.key}: {MASK} (new value)" if secret else change.after)
    return {
        "before_header": path,
        "after_header": path,
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in after),
    }


def _keep_copy(target: pathlib.Path, content: bytes) -> pathlib.Path:
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        copy = target.with_name(f"{target.name}.before-{stamp}" + (f"-{number}" if number > 1 else ""))
        try:
            handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            number += 1
            continue
        try:
            write_through(handle, content)
        except OSError:
            copy.unlink()
            raise
        return copy


def _replace(target: pathlib.Path, plan: SettingsPlan) -> None:
    try:
        if os.path.realpath(plan.path) != str(target):
            raise ChangedMeanwhile
        replace_file(target, plan.before, plan.after)
    except ChangedMeanwhile:
        raise SettingsError(
            f"Settings file {plan.path} was changed by someone else while it was being edited",
            "its content is no longer what this edit was made from",
            "Nothing was written. Find out who edits it, then run this again.",
        ) from None
