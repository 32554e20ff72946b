# SPDX-License-Identifier: GPL-3.0-or-later
"""The local stack's pure parts."""

from __future__ import annotations

import configparser
import shlex
import socket
from pathlib import Path

import pytest
from dotenv import dotenv_values
from local_stack.errors import StackError
from local_stack.layout import Layout
from local_stack.ports import choose_free_ports, is_free
from local_stack.profiles import item_counts, service_names, services, write_settings
from local_stack.secrets_file import ensure_secrets
from local_stack.seed import plans
from local_stack.stack import Stack
from local_stack.supervisor_config import Program, write_config


def test_ports_are_free_distinct_and_below_the_ephemeral_range() -> None:
    chosen = choose_free_ports([str(number) for number in range(20)])
    assert len(set(chosen.values())) == 20
    assert all(15000 <= port < 60000 and is_free(port) for port in chosen.values())


def test_a_listening_port_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not is_free(listener.getsockname()[1])


def test_item_counts() -> None:
    assert item_counts(["a", "b", "c"], 400) == {"a": 400, "b": 100, "c": 100}
    assert item_counts(["a"], {"a": 7}) == {"a": 7}
    for profiles in ([], ["a", "a"], ["a b"], ["../a"]):
        with pytest.raises(StackError):
            item_counts(profiles, 1)


def test_profiles_share_some_ids() -> None:
    one, two = plans({"assets_1": 20_000, "assets_2": 5_000})
    ids = [{plan.item_id(index) for index in range(plan.items)} for plan in (one, two)]
    assert len(ids[0] & ids[1]) == 500


def test_settings_file_is_written_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "it's a folder")
    layout.create()
    secrets = ensure_secrets(layout, 1)
    names = service_names(["a"])
    service, standby = services(layout, ["a"], {name: number for number, name in enumerate(names, start=10)})
    write_settings(layout, service, ["a"], secrets)
    values = dotenv_values(service.settings_file)
    assert values["SX_DB_PATH"] == str(layout.sqlite)
    assert (values["SX_POSTGRES_DSN"], values["SX_API_PORT"]) == (secrets.dsn, "10")
    assert (service.profile, standby.profile, standby.is_standby) == ("a", "a", True)
    service.settings_file.write_text("SX_DB_BACKEND_MODE=POSTGRES_PRIMARY\n", encoding="utf-8")
    write_settings(layout, service, ["a"], secrets)
    assert "PRIMARY" in service.settings_file.read_text(encoding="utf-8")


def test_supervisor_config_survives_odd_characters(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "with space")
    layout.create()
    secrets = ensure_secrets(layout, 1)
    command = ["/a b/python", "-c", "print('%d' % 1)"]
    program = Program("odd", command, layout.state_dir, layout.logs / "odd.log", environment={"X": 'a "b" c'})
    write_config(layout, [program], secrets, 1234)
    parser = configparser.RawConfigParser()
    parser.read(layout.supervisor_config, encoding="utf-8")
    assert shlex.split(parser["program:odd"]["command"].replace("%%", "%")) == command
    assert parser["inet_http_server"]["port"] == "127.0.0.1:1234"
    assert "unix_http_server" not in parser


@pytest.mark.parametrize("name", ["100%", "a;b"])
def test_folders_supervisord_cannot_work_in_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StackError, match="please"):
        Stack(tmp_path / name).up()
    assert not (tmp_path / name).exists()


def test_two_commands_do_not_work_on_one_stack(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    with stack._locked(), pytest.raises(StackError, match="another command"):
        stack.down()
