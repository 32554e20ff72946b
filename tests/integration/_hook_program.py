# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hooks of the tests run: writes down what it was told and what the ledger says, and ends as it is to."""

import json
import os
import sys
import time
from pathlib import Path

journal, status, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
told = json.load(sys.stdin)
entries = [json.loads(line) for line in Path(told["ledger_file"]).read_text(encoding="utf-8").splitlines()]
mine = [entry for entry in entries if entry["run_id"] == told["run_id"] and entry["kind"] == "phase"]
told_by_variables = {name: value for name, value in os.environ.items() if name.startswith("PG_CUTOVER_")}
with journal.open("a", encoding="utf-8") as stream:
    seen = [f"{entry['phase']} {entry['status']}" for entry in mine]
    line = {"told": told, "variables": told_by_variables, "phases": seen, "secret": os.environ.get("HOOK_SECRET")}
    stream.write(json.dumps(line) + "\n")
time.sleep(seconds)
print("x" * 3000)
print(f"the hook {told['hook']} was here, with {os.environ.get('HOOK_SECRET')}")
print("postgresql://u:hunter2@db/sx", file=sys.stderr)
sys.exit(status)
