# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module_util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The one place where a domain error becomes a failed task, and where every result is redacted."""

from __future__ import annotations

import typing as t

from ._errors import CutoverError
from ._redact import redact, secrets_of


class Module(t.Protocol):
    """What the engine needs of an AnsibleModule; named here so that the engine needs no Ansible."""

    params: dict[str, t.Any]
    check_mode: bool
    _diff: bool
    argument_spec: dict[str, t.Any]

    def exit_json(self, **result: t.Any) -> t.NoReturn: ...

    def fail_json(self, msg: str, **result: t.Any) -> t.NoReturn: ...


def run(module: Module, verb: t.Callable[[t.Any], dict[str, t.Any]]) -> None:
    """Run one operator verb and leave the module, with a redacted result or a readable failure.

    Args:
        module: The AnsibleModule.
        verb: Takes the module, returns the result. Its C(diff) key is dropped unless diff mode is on. It raises
            CutoverError to fail; any other exception is a defect of ours and is left to Ansible's own report.
    """
    secrets = _secrets(module)
    try:
        result = verb(module)
    except CutoverError as error:
        facts = redact(error.facts, secrets)
        facts.setdefault("changed", False)
        module.fail_json(msg=redact(error.message(), secrets), error=error.code, **facts)
    else:
        if not module._diff:
            result.pop("diff", None)
        module.exit_json(**redact(result, secrets))


def _secrets(module: Module) -> frozenset[str]:
    values: list[str] = []
    for name, spec in module.argument_spec.items():
        if spec.get("no_log") is True:
            values += _strings(module.params.get(name))
    return secrets_of(*values)


def _strings(value: t.Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _strings(item)]
    return []
