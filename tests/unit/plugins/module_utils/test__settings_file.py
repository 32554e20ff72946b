# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings files on a real disk, read back by the readers that applications use."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import pathlib
import stat
import subprocess
import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils import _settings_env, _settings_json, _settings_yaml
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import BadInput, SettingsError
from ansible_collections.sxops.pg_cutover.plugins.module_utils._settings_edit import split_path
from ansible_collections.sxops.pg_cutover.plugins.module_utils._settings_file import (
    SettingsPlan,
    apply_settings,
    plan_settings,
)
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

ENV = """\
# mode of the store
SX_DB_BACKEND_MODE=SQLITE
#SX_DB_BACKEND_MODE=POSTGRES_PRIMARY
export SX_POSTGRES_DSN="postgresql://sx:old@db/sx"   # written by ops
SX_DB_PATH='/srv/sx/data/my db.sqlite'

SX_API_PORT=8123
"""


def write(path: pathlib.Path, content: str | bytes) -> pathlib.Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def plan(path: pathlib.Path, file_format: str = "env", secrets: t.Any = None, **wanted: t.Any) -> SettingsPlan:
    return plan_settings(str(path), file_format, wanted, secrets or {})


def flip(path: pathlib.Path, file_format: str = "env", **wanted: t.Any) -> str:
    apply_settings(plan_settings(str(path), file_format, wanted, {}), backup=False)
    return path.read_bytes().decode()


@contextlib.contextmanager
def chattr(path: pathlib.Path, flag: str) -> t.Iterator[None]:
    """Make a file or folder immutable: the one refusal that root meets too."""
    done = subprocess.run(["chattr", f"+{flag}", str(path)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this file system has no immutable flag, or we are not root")
    try:
        yield
    finally:
        subprocess.run(["chattr", f"-{flag}", str(path)], check=True)


# --- env: what stays -------------------------------------------------------------------------------------------


def test_only_the_named_lines_change(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / ".env", ENV)
    text = flip(path, SX_DB_BACKEND_MODE="POSTGRES_PRIMARY", SX_POSTGRES_DSN="postgresql://sx:new@db/sx")
    assert text == ENV.replace("MODE=SQLITE", "MODE=POSTGRES_PRIMARY").replace("sx:old", "sx:new")


def test_there_and_back_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / ".env", ENV)
    flip(path, SX_DB_BACKEND_MODE="POSTGRES_PRIMARY", SX_DB_PATH="/elsewhere/it's here")
    assert flip(path, SX_DB_BACKEND_MODE="SQLITE", SX_DB_PATH="/srv/sx/data/my db.sqlite").replace('"', "'") == (
        ENV.replace('"', "'")
    )


def test_a_second_flip_finds_nothing_to_do(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / ".env", ENV)
    wanted = {"SX_DB_BACKEND_MODE": "POSTGRES_PRIMARY", "SX_NEW": "a b", "SX_API_PORT": None}
    flip(path, **wanted)
    before = path.stat()
    again = plan(path, **wanted)
    assert not again.changed and again.keys_changed == () and again.diff["before"] == again.diff["after"] == ""
    assert apply_settings(again) is None
    assert path.stat().st_mtime_ns == before.st_mtime_ns and path.stat().st_ino == before.st_ino
    assert [found.name for found in tmp_path.iterdir()] == [".env"]


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ("A=1\r\nB=2\r\n", {"A": "x"}, "A=x\r\nB=2\r\n"),
        ("A=1\r\nB=2\r\n", {"C": "x y"}, "A=1\r\nB=2\r\nC='x y'\r\n"),
        ("A=1\nB=2", {"B": "3"}, "A=1\nB=3"),
        ("A=1\nB=2", {"C": "3", "D": "4"}, "A=1\nB=2\nC=3\nD=4"),
        ("A=1\nB=2", {"B": None}, "A=1"),
        ("A=1\nB=2", {"B": None, "C": "3"}, "A=1\nC=3"),
        ("A=1\nB=2\n", {"A": None}, "B=2\n"),
        ("A=1", {"A": None}, ""),
        ("", {"A": "1"}, "A=1\n"),
        ("  export A='x'\n", {"A": "y"}, "  export A='y'\n"),
        ('A="x"\n', {"A": 'say "hi" \\o/'}, 'A="say \\"hi\\" \\\\o/"\n'),
        ("A='x'\n", {"A": "it's"}, 'A="it\'s"\n'),
        ("A=1 # why\n", {"A": "2"}, "A=2 # why\n"),
        ("A=1 # why\n", {"A": ""}, "A='' # why\n"),
        ("A= # why\n", {"A": "2"}, "A=2 # why\n"),
        ("A='1'# why\n", {"A": "2"}, "A='2' # why\n"),
        ("A=\n", {"A": ""}, "A=\n"),
        ("A\n", {"A": "1"}, "A=1\n"),
        ("A = 1\n", {"A": "1"}, "A=1\n"),  # a shell refuses the spaces
        ("A=x y\n", {"A": "x y"}, "A='x y'\n"),  # a shell would run y
        ('A="$B"\n', {"A": "$B"}, "A='$B'\n"),  # a shell would expand it
        ("A='one\nB=2\n'\nB=3\n", {"B": "4"}, "A='one\nB=2\n'\nB=4\n"),  # B=2 stands inside A
        ("A='one\ntwo'\nB=3\n", {"A": "1"}, "A='1'\nB=3\n"),
        ("#A=1\n# A=2\n", {"A": "3"}, "#A=1\n# A=2\nA=3\n"),
        ("A=1\n", {"A": True, "B": 2, "C": False}, "A=true\nB=2\nC=false\n"),
        ("AB=1\n", {"A": "2"}, "AB=1\nA=2\n"),
        ("café=1\nA=2\n", {"A": "ä"}, "café=1\nA='ä'\n"),
    ],
)
def test_env_edits(before: str, wanted: dict[str, t.Any], after: str) -> None:
    edit = _settings_env.edit(before, wanted, "f")
    assert edit.text == after
    assert _settings_env.edit(after, wanted, "f").text == after


def test_bytes_that_are_not_utf8_stay(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / ".env", b"NAME=Jos\xe9\nA=1\n")
    apply_settings(plan(path, A="2"), backup=False)
    assert path.read_bytes() == b"NAME=Jos\xe9\nA=2\n"


def test_byte_order_mark_is_kept_but_not_in_front_of_a_wanted_key(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / ".env", b"\xef\xbb\xbf# c\nA=1\n")
    apply_settings(plan(path, A="2"), backup=False)
    assert path.read_bytes() == b"\xef\xbb\xbf# c\nA=2\n"
    write(path, b"\xef\xbb\xbfA=1\n")
    with pytest.raises(SettingsError, match="byte order mark"):
        plan(path, A="2")


# --- env: what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A=1\nB=2\nA=3\n", r"defines A more than once \(lines 1, 3\)"),
        ("A=1\n\nexport A\n", r"defines A more than once \(lines 1, 3\)"),
        ("X='a\nb'\nA=1\nexport A=2\n", r"lines 3, 4"),
        ("A='never closed\nB=2\n", "line 1 opens a quote that is never closed"),
        ("# comment \\\nA=1\n", "line 2 defines A behind a line that ends in a backslash"),
    ],
)
def test_env_refuses_what_readers_disagree_on(tmp_path: pathlib.Path, content: str, message: str) -> None:
    path = write(tmp_path / ".env", content)
    with pytest.raises(SettingsError, match=message):
        plan(path, A="x")
    assert path.read_text() == content


def test_nothing_is_added_behind_a_final_backslash() -> None:
    with pytest.raises(SettingsError, match="ends in a backslash"):
        _settings_env.edit("A=1\n# \\\n", {"B": "2"}, "f")
    with pytest.raises(SettingsError, match="ends in a backslash"):
        _settings_env.edit("A=1\n# \\", {"B": "2"}, "f")


@pytest.mark.parametrize("value", ["a\nb", "a\r", "a\0b", "a\x7f", "\ud800", "${HOME}", "it's $5", "`'", "'$\\"])
def test_env_refuses_values_without_a_common_spelling(value: str) -> None:
    with pytest.raises(BadInput, match="settings key A is refused") as caught:
        _settings_env.edit("A=1\n", {"A": value}, "f")
    assert "$5" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "A B", "1A", "A-B", "A.B", "A=B", "Ä", "A\n"])
def test_env_refuses_keys_that_are_no_names(key: str) -> None:
    with pytest.raises(BadInput, match="is refused"):
        _settings_env.edit("A=1\n", {key: "1"}, "f")


def test_env_refuses_structures() -> None:
    with pytest.raises(BadInput, match="text only"):
        _settings_env.edit("", {"A": ["x"]}, "f")


# --- env: every reader reads the same --------------------------------------------------------------------------


def by_dotenv(path: pathlib.Path, key: str) -> str | None:
    dotenv = pytest.importorskip("dotenv")
    value: str | None = dotenv.dotenv_values(path)[key]
    return value


def by_shell(path: pathlib.Path, key: str, shell: str = "sh") -> str:
    script = f'set -a; . "$1"; printf "%s|" "${{{key}}}"'
    done = subprocess.run(
        [shell, "-c", script, shell, str(path)], capture_output=True, check=True, env={"PATH": os.defpath}
    )
    assert done.stderr == b""
    return done.stdout.decode()[:-1]


def _systemd() -> t.Any:
    for folder in ("/usr/lib/x86_64-linux-gnu/systemd", "/usr/lib/aarch64-linux-gnu/systemd", "/usr/lib/systemd"):
        for library in sorted(pathlib.Path(folder).glob("libsystemd-shared-*.so")):
            with contextlib.suppress(OSError, AttributeError):
                return ctypes.CDLL(str(library)).load_env_file
    return None


LOAD_ENV_FILE = _systemd()


def by_systemd(path: pathlib.Path, key: str) -> str | None:
    """Read it with the very function that systemd reads an EnvironmentFile with."""
    LOAD_ENV_FILE.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.POINTER(ctypes.c_char_p))]
    found = ctypes.POINTER(ctypes.c_char_p)()
    code = LOAD_ENV_FILE(None, str(path).encode(), ctypes.byref(found))
    assert code >= 0, os.strerror(-code)
    for number in range(1000):
        if not found[number]:
            return None
        name, _equals, value = (found[number] or b"").partition(b"=")
        if name.decode() == key:
            return value.decode()
    return None


AWKWARD = st.text(alphabet=st.sampled_from("ab '\"\\$`#=~!;&|<>()*?[]{}%:@/\tä€😀"), max_size=12)
ANY = st.text(max_size=30)


@hypothesis_settings(max_examples=150, deadline=None)
@given(value=st.one_of(AWKWARD, ANY), quote=st.sampled_from(["", "'", '"']))
@example(value="postgresql://u:p%27@h:5432/db?sslmode=require&application_name=x", quote="")
@example(value="C:\\dir\\", quote='"')
@example(value="a # b", quote="")
@example(value=" leading and trailing ", quote="")
def test_every_reader_reads_the_value_back(tmp_path_factory: pytest.TempPathFactory, value: str, quote: str) -> None:
    before = f"FIRST=1\nKEY={quote}old{quote}\nexport LAST='z'\n"
    try:
        text = _settings_env.edit(before, {"KEY": value}, "f").text
    except BadInput:
        return
    path = write(tmp_path_factory.mktemp("env") / ".env", text)
    assert by_dotenv(path, "KEY") == value
    assert by_shell(path, "KEY") == value
    if LOAD_ENV_FILE:
        assert by_systemd(path, "KEY") == value
    assert by_dotenv(path, "LAST") == by_shell(path, "LAST") == "z"
    again = _settings_env.edit(text, {"KEY": value}, "f")
    assert again.text == text and again.observed == {"KEY": value}


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_shells_agree_on_the_awkward_ones(tmp_path: pathlib.Path, shell: str) -> None:
    for value in ("~/x", "a:~b", "!!", "a\\b", 'it\'s \\ "so"', "$HOME", "100%", "`id`", "a\tb", "#x", "-n"):
        path = write(tmp_path / ".env", _settings_env.edit("", {"KEY": value}, "f").text)
        assert by_shell(path, "KEY", shell) == value == by_dotenv(path, "KEY")


def test_systemd_was_among_the_readers() -> None:
    if not LOAD_ENV_FILE:
        pytest.skip("no libsystemd-shared here")


# --- the file itself -------------------------------------------------------------------------------------------


def test_missing_file_names_it_and_what_to_do(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.env does not exist.*Correct settings_file"):
        plan(tmp_path / "absent.env", A="1")
    assert list(tmp_path.iterdir()) == []


def test_folder_fifo_and_dangling_link_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SettingsError, match="is a folder"):
        plan(tmp_path, A="1")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="not a regular file"):
        plan(tmp_path / "pipe", A="1")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(SettingsError, match=r"does not exist \(through the link"):
        plan(tmp_path / "link", A="1")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(SettingsError, match="cannot be read"):
        plan(tmp_path / "loop", A="1")
    with pytest.raises(SettingsError, match="cannot be read"):
        plan(write(tmp_path / "file", "") / "below", A="1")


def test_a_link_stays_a_link(tmp_path: pathlib.Path) -> None:
    (tmp_path / "shared").mkdir()
    real = write(tmp_path / "shared" / "production.env", "A=1\n")
    link = tmp_path / ".env"
    link.symlink_to("shared/production.env")
    made = plan(link, A="2")
    backup = apply_settings(made)
    assert link.is_symlink() and real.read_text() == "A=2\n" and made.target == str(real)
    assert backup and pathlib.Path(backup).parent == real.parent


def test_mode_owner_and_attributes_are_kept(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / ".env", "A=1\n")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    with contextlib.suppress(OSError):
        os.setxattr(path, "user.note", b"kept")
    before, attributes = path.stat(), os.listxattr(path)
    apply_settings(plan(path, A="2"))
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.listxattr(path) == attributes


def test_backup_is_private_and_never_overwritten(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / ".env", "A=0\n")
    path.chmod(0o644)
    copies = [apply_settings(plan(path, A=str(number))) for number in range(1, 6)]  # within the same second
    assert len(set(copies)) == 5
    for number, copy in enumerate(copies):
        assert copy and copy.startswith(f"{path}.before-20")
        assert pathlib.Path(copy).read_text() == f"A={number}\n"
        assert stat.S_IMODE(pathlib.Path(copy).stat().st_mode) == 0o600


def test_a_change_in_between_is_detected_and_nothing_written(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / ".env", "A=1\n")
    made = plan(path, A="2")
    write(path, "A=1\nB=by someone else\n")
    with pytest.raises(SettingsError, match="changed by someone else"):
        apply_settings(made)
    assert path.read_text() == "A=1\nB=by someone else\n"
    assert [found.name for found in tmp_path.iterdir()] == [".env"]


def test_a_link_turned_in_between_is_detected(tmp_path: pathlib.Path) -> None:
    one, two = write(tmp_path / "one", "A=1\n"), write(tmp_path / "two", "A=1\n")
    link = tmp_path / ".env"
    link.symlink_to(one)
    made = plan(link, A="2")
    link.unlink()
    link.symlink_to(two)
    with pytest.raises(SettingsError, match="changed by someone else"):
        apply_settings(made)
    assert one.read_text() == two.read_text() == "A=1\n"


# Permission bits do not stop root, so these use the immutable flag, which does.
def test_immutable_file_is_refused_before_anything_is_written(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / ".env", "A=1\n")
    with chattr(path, "i"), pytest.raises(SettingsError, match=r"\.env cannot be written.*(become|chattr)"):
        plan(path, A="2")


def test_immutable_folder_is_refused_before_anything_is_written(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    path = write(folder / ".env", "A=1\n")
    with chattr(folder, "i"), pytest.raises(SettingsError, match=r"cannot be replaced: its folder .*/etc cannot"):
        plan(path, A="2")


def _as_nobody(tmp_path: pathlib.Path, check: t.Callable[[], None]) -> None:
    """Run the check in a child process without root's powers."""
    if os.geteuid() != 0:
        check()
        return
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
        if folder.name.startswith("pytest-of"):
            break
    pid = os.fork()
    if pid == 0:  # pragma: no cover - in the child
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            check()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_permission_bits_stop_everyone_but_root(tmp_path: pathlib.Path) -> None:
    unreadable, readonly = write(tmp_path / "a.env", "A=1\n"), write(tmp_path / "b.env", "A=1\n")
    unreadable.chmod(0o000)
    readonly.chmod(0o444)
    foreign = write(tmp_path / "c.env", "A=1\n")
    foreign.chmod(0o666)
    tmp_path.chmod(0o777)

    def check() -> None:
        with pytest.raises(SettingsError, match="cannot be read"):
            plan(unreadable, A="2")
        with pytest.raises(SettingsError, match="cannot be written"):
            plan(readonly, A="2")
        if foreign.stat().st_uid != os.geteuid():
            with pytest.raises(SettingsError, match="only root could keep that"):
                plan(foreign, A="2")

    _as_nobody(tmp_path, check)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / ".env", "A=1\n")
    made = plan(path, A="2")

    def no_space(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(SettingsError, match="could not be written: No space left on device"):
        apply_settings(made)
    assert path.read_text() == "A=1\n" and [found.name for found in tmp_path.iterdir()] == [".env"]


def test_other_hard_links_are_mentioned(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / ".env", "A=1\n")
    os.link(path, tmp_path / "other")
    assert "hard links" in plan(path, A="2").notes[0]
    assert plan(path, A="1").notes == ()


def test_keys_must_be_named_once() -> None:
    with pytest.raises(BadInput, match="in both settings and secrets"):
        plan_settings("/nowhere", "env", {"A": "1"}, {"A": "2"})
    with pytest.raises(BadInput, match="No settings key was named"):
        plan_settings("/nowhere", "env", {}, {})


@pytest.mark.parametrize("file_format", ["env", "json", "yaml"])
def test_secrets_are_masked_old_and_new(tmp_path: pathlib.Path, file_format: str) -> None:
    content = {
        "env": "MODE=a\nDSN='old-hush' # old-hush\n",
        "json": '{"MODE": "a", "DSN": "old-hush"}',
        "yaml": "MODE: a\nDSN: old-hush # x\n",
    }
    path = write(tmp_path / "settings", content[file_format])
    made = plan(path, file_format, {"DSN": "new-hush"}, MODE="b")
    assert made.keys_changed == ("MODE", "DSN") and made.observed == {"MODE": "a"}
    assert "hush" not in repr(made)
    assert made.diff["before"] != made.diff["after"] and "DSN: ********" in made.diff["before"]
    assert b"new-hush" in made.after


# --- json ------------------------------------------------------------------------------------------------------

APPSETTINGS = """\
{
    "Logging": { "LogLevel": { "Default": "Information", "Microsoft.AspNetCore": "Warning" } },
    "Database": {
        "Provider": "Sqlite",
        "Pool": [1,  2, 3.0]
    },
    "AllowedHosts": "*",
    "Ratio": 1e3
}
"""


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        (APPSETTINGS, {"Database.Provider": "Npgsql"}, APPSETTINGS.replace('"Sqlite"', '"Npgsql"')),
        (
            APPSETTINGS,
            {"Database.ConnectionString": "Host=db"},
            APPSETTINGS.replace("3.0]", '3.0],\n        "ConnectionString": "Host=db"'),
        ),
        (APPSETTINGS, {"Logging.LogLevel.Microsoft\\.AspNetCore": "Error"}, APPSETTINGS.replace("Warning", "Error")),
        (APPSETTINGS, {"Ratio": None}, APPSETTINGS.replace(',\n    "Ratio": 1e3', "")),
        (
            APPSETTINGS,
            {"Database": None},
            APPSETTINGS[: APPSETTINGS.index('    "Database')] + APPSETTINGS[APPSETTINGS.index('    "Allowed') :],
        ),
        (APPSETTINGS, {"Database.Provider": "Sqlite"}, APPSETTINGS),
        ('{"a":1,"b":{}}', {"b.c.d": "x"}, '{"a":1,"b":{"c": {"d": "x"}}}'),
        ('{"a":1}', {"b": True}, '{"a":1,"b":true}'),
        ('{"a": 1}', {"a": None}, "{}"),
        ("{}\n", {"a.b": 1}, '{\n  "a": {\n    "b": 1\n  }\n}\n'),
        ('{\r\n\t"a": 1\r\n}', {"b": "ä"}, '{\r\n\t"a": 1,\r\n\t"b": "ä"\r\n}'),
        ('{\n  "a": {}\n}\n', {"a.b": 1}, '{\n  "a": {\n    "b": 1\n  }\n}\n'),
        ('{"a": "1"}', {"a": 1}, '{"a": 1}'),
        ('{"a": 1}', {"a": True}, '{"a": true}'),
        ('{"a": null}', {"a": None}, "{}"),
        ('{"a": {"b": 1}}', {"a": {"b": [1, 2]}}, '{"a": {"b": [1, 2]}}'),
        ('{"\\u00e4": 1}', {"b": "é"}, '{"\\u00e4": 1, "b": "\\u00e9"}'),
    ],
)
def test_json_edits(before: str, wanted: dict[str, t.Any], after: str) -> None:
    edit = _settings_json.edit(before, wanted, "f")
    assert json.loads(edit.text) == json.loads(after)
    assert edit.text == after
    assert _settings_json.edit(after, wanted, "f").changes == ()


def test_json_byte_order_mark_stays(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a.json", b'\xef\xbb\xbf{"a": 1}')
    apply_settings(plan(path, "json", a=2))
    assert path.read_bytes() == b'\xef\xbb\xbf{"a": 2}'


@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        ('{\n  // no\n  "a": 1\n}', "a", r"holds a comment \(line 2\)"),
        ('{"a": 1 /* no */}', "a", "holds a comment"),
        ('{"a": 1,}', "a", "not valid JSON"),
        ("", "a", "not valid JSON"),
        ("[1]", "a", "no JSON object at its top"),
        ('{"a": 1, "a": 2}', "a", "names a more than once"),
        ('{"a": "x"}', "a.b", "a is not an object"),
        ('{"a": [1]}', "a.0", "a is not an object"),
        ('{"a": null}', "a.b", "a is not an object"),
    ],
)
def test_json_refusals(content: str, key: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        _settings_json.edit(content, {key: "x"}, "f")


JSON = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    document=st.dictionaries(st.sampled_from("abc"), JSON, max_size=3),
    key=st.sampled_from(["a", "b.x", "c.y.z", "d"]),
    value=st.one_of(st.none(), JSON),
    indent=st.sampled_from([None, 1, 2, "\t"]),
)
def test_json_changes_that_path_and_nothing_else(document: t.Any, key: str, value: t.Any, indent: t.Any) -> None:
    text = json.dumps(document, indent=indent)
    try:
        edited = json.loads(_settings_json.edit(text, {key: value}, "f").text)
    except SettingsError:
        return
    node, names = document, key.split(".")
    for name in names[:-1]:
        node = node.setdefault(name, {}) if value is not None else node.get(name, {})
    if value is None:
        node.pop(names[-1], None)
    else:
        node[names[-1]] = value
    assert json.dumps(edited) == json.dumps(document)


@pytest.mark.parametrize("key", ["", ".", "a.", ".a", "a..b", "a\\"])
def test_empty_names_in_a_path_are_refused(key: str) -> None:
    with pytest.raises(BadInput, match="is refused"):
        split_path(key)


# --- yaml ------------------------------------------------------------------------------------------------------

SETTINGS_YAML = """\
# settings of the harvester
app:
    name: "Signal Harvester"   # shown in the page
    database:
        url: sqlite:///var/app.db  # see the runbook
        pool:   5
    hosts:
      - a
      - b
debug: no
"""


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        (
            SETTINGS_YAML,
            {"app.database.url": "postgresql://u@h/db"},
            SETTINGS_YAML.replace("sqlite:///var/app.db", '"postgresql://u@h/db"'),
        ),
        (SETTINGS_YAML, {"app.name": "x: y"}, SETTINGS_YAML.replace("Signal Harvester", "x: y")),
        (SETTINGS_YAML, {"app.database.pool": 10}, SETTINGS_YAML.replace("  5", "  10")),
        (SETTINGS_YAML, {"app.database.pool": 5}, SETTINGS_YAML),
        ("a: 'x'\r\nb: 1\r\n", {"a": "it's"}, "a: 'it''s'\r\nb: 1\r\n"),
        ("a: 1", {"a": "2"}, 'a: "2"'),
        ("a: x\n", {"a": "no"}, 'a: "no"\n'),
        ("a: x\n", {"a": True}, "a: true\n"),
        ("---\na: 1 # c\n", {"b.c": "x"}, "---\na: 1 # c\nb:\n  c: x\n"),
        ("a: 1\nb: 2 # c\n", {"a": None}, "b: 2 # c\n"),
        ("a:\nb: 1\n", {"a.b": 1}, "a:\n  b: 1\nb: 1\n"),
        ("a: {b: 1}\n", {"a.b": "y"}, 'a: {b: "y"}\n'),
    ],
)
def test_yaml_edits(before: str, wanted: dict[str, t.Any], after: str) -> None:
    pytest.importorskip("ruamel.yaml")
    edit = _settings_yaml.edit(before, wanted, "f")
    assert edit.text == after
    assert _settings_yaml.edit(after, wanted, "f").changes == ()


def test_yaml_says_when_it_lays_out_other_lines_anew() -> None:
    pytest.importorskip("ruamel.yaml")
    edit = _settings_yaml.edit("a:   1\nb: {x: 1,   y: 2}\n", {"c": "new"}, "f")
    assert edit.text == "a: 1\nb: {x: 1, y: 2}\nc: new\n"
    assert "2 other line(s)" in edit.notes[0]


@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        ("a: 1\na: 2\n", "a", "not one valid YAML document"),
        ("a: [\n", "a", "not one valid YAML document"),
        ("- 1\n", "a", "no YAML mapping at its top"),
        ("", "a", "no YAML mapping at its top"),
        ("a: 1\n---\nb: 1\n", "a", "not one valid YAML document"),
        ("a: x\n", "a.b", "a is not a mapping"),
        ("base: &b {url: x}\nprod: *b\n", "prod.url", "anchor or a merge key"),
        ("base: &b {db: {url: x}}\nprod:\n  <<: *b\n", "prod.db.url", "anchor or a merge key"),
    ],
)
def test_yaml_refusals(content: str, key: str, message: str) -> None:
    pytest.importorskip("ruamel.yaml")
    with pytest.raises(SettingsError, match=message):
        _settings_yaml.edit(content, {key: "x"}, "f")


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    value=st.one_of(st.text(max_size=12), st.sampled_from(["yes", "~", "null", "1", "1e3", "0x1", "- a", "a: b", "#"])),
    style=st.sampled_from(["old", "'old'", '"old"']),
)
def test_yaml_text_reads_back_as_text(value: str, style: str) -> None:
    yaml = pytest.importorskip("yaml")  # another reader than the writer
    pytest.importorskip("ruamel.yaml")
    text = _settings_yaml.edit(f"a: {style} # c\nb: 1\n", {"a": value}, "f").text
    assert yaml.safe_load(io.StringIO(text)) == {"a": value, "b": 1}
    assert "# c\nb: 1\n" in text
