# SPDX-License-Identifier: GPL-3.0-or-later
"""The webhook of a run: whatever it does, the run goes on as if it were not there, and says so in a line."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
from _ansible import Playbook, home, run_playbook, wait_for
from _webhook import webhook

TOKEN = "T0ken-of-the-webhook"
PLAY = textwrap.dedent("""\
    - name: Notices of a run, each between two looks at the clock
      hosts: localhost
      gather_facts: false
      vars:
        source_id: a
        profile_entry: {app: generic}
        profile_schema: app_a
        profile_by_route: false
        profile_online: false
        profile_failure: "{{ ansible_failed_result.msg }}"
        profile_webhook: "{{ cutover_webhook }}"
        profile_source_id: a
        ledger_run: {run_id: r1, summary: {open_run: {verb: cutover, parameters: {mode: offline}}}}
      tasks:
        - name: Tell it
          ansible.builtin.include_role:
            name: sxops.pg_cutover.notify
          vars:
            notify_event: "{{ one.event }}"
            profile_webhook: "{{ one.webhook }}"
            notify_message: "cannot reach postgresql://u:hunter2@db/x"
          loop: "{{ notices }}"
          loop_control: {loop_var: one, label: "{{ one.event }}"}
        - name: Give the answers time
          ansible.builtin.async_status: {jid: "{{ one.job }}"}
          loop: "{{ notify_sent if patient else [] }}"
          loop_control: {loop_var: one, label: "{{ one.event }}"}
          register: answered
          until: answered.finished
          retries: 100
          delay: 0.5
          failed_when: false
        - name: Ask for them
          ansible.builtin.include_role:
            name: sxops.pg_cutover.notify
            tasks_from: settle
        - name: Go on
          ansible.builtin.debug: {msg: done}
    """)


def run(notices: list[dict[str, Any]], patient: bool) -> Playbook:
    # Nobody's home is what it says here, and both ends of a job have to mean the same folder.
    variables = {
        "notices": notices,
        "cutover_webhook": {"url": "http://127.0.0.1/unused"},
        "patient": patient,
        "ansible_async_dir": str(home() / "async"),
    }
    return run_playbook(PLAY, variables)


def notice(event: str, url: str, **more: Any) -> dict[str, Any]:
    return {"event": event, "webhook": {"url": f"{url}/{TOKEN}", "timeout": 5, **more}}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate that nobody vouches for."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", str(path), "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_whatever_a_webhook_does_the_run_goes_on_and_says_so(certificate: Path) -> None:
    with socket.socket() as free, webhook() as good, webhook(500) as broken, webhook() as secure:
        free.bind(("127.0.0.1", 0))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        done = run(
            [
                notice("freeze_announced", good.url),
                notice("switched", broken.url),
                notice("rolled_back", f"http://127.0.0.1:{free.getsockname()[1]}"),
                notice("closed", secure.url.replace("http:", "https:")),
                notice("failed", good.url, where="host", headers={"X-Token": TOKEN}),
            ],
            patient=True,
        )
        output = done.process.stdout + done.process.stderr
        assert done.process.returncode == 0, output
        assert done.results("Go on")[0]["msg"] == "done" and done.stats["failures"] == 0
        assert good.events == ["freeze_announced", "failed"] and broken.events == ["switched"]
        body = good.requests[0]["body"]
        assert body["mode"] == "offline" and "freeze" in body["write_outage"] and "hunter2" not in json.dumps(body)
        assert good.requests[1]["headers"]["X-Token"] == TOKEN
        assert secure.requests == []
    (lines,) = [found["msg"] for found in done.results("Say which were not taken")]
    said = "\n".join(lines)
    for part in (
        "The webhook did not take switched: it answered with status 500.",
        "did not get rolled_back: connection refused",
        "did not get closed: TLS failed",
    ):  # fmt: skip
        assert part in said, said
    assert "freeze_announced" not in said and TOKEN not in output


def test_one_that_hangs_delays_nothing() -> None:
    """One run, the same step again and again: it takes as long without an answer, which is not due for minutes."""
    with webhook() as good, webhook(hangs=True) as hanging:
        done = run(
            [
                notice("freeze_announced", good.url),
                notice("switched", good.url),
                notice("rolled_back", hanging.url, timeout=300),
                notice("closed", hanging.url, timeout=300),
            ],
            patient=False,
        )
        assert done.process.returncode == 0, done.process.stdout
        at = [task["at"] for task in done.tasks if task["task"].endswith("Remember the notice")]
        answered, *hung = [later - earlier for earlier, later in itertools.pairwise(at)]
        assert len(hung) == 2 and max(hung) < 5 * answered
        wait_for(lambda: len(hanging.requests) == 2, "the notices")
    said = "\n".join(done.results("Say which were not taken")[0]["msg"])
    assert "No answer yet to rolled_back" in said and "No answer yet to closed" in said
