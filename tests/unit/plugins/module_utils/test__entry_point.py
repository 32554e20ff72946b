# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way out of a module: a redacted result, or a readable failure."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._errors import CutoverError, DataRefused
from ansible_collections.sxops.pg_cutover.plugins.module_utils._redact import MASK

DSN = "postgresql://app:s3cr3t@db/sx"


class Left(Exception):
    """The module ended, with this result."""

    def __init__(self, result: dict[str, t.Any]) -> None:
        self.result = result


class StandIn:
    """What run() needs of an AnsibleModule: it is given options and ends by raising its result."""

    check_mode = False
    argument_spec: t.ClassVar[dict[str, t.Any]] = {
        "dsn": {"type": "str", "no_log": True},
        "tokens": {"type": "dict", "no_log": True},
        "key": {"type": "str", "no_log": False},
    }

    def __init__(self, diff: bool = False, **params: t.Any) -> None:
        self._diff = diff
        self.params = {"dsn": DSN, **params}

    def exit_json(self, **result: t.Any) -> t.NoReturn:
        raise Left(result)

    def fail_json(self, msg: str, **result: t.Any) -> t.NoReturn:
        raise Left({"failed": True, "msg": msg, **result})


def outcome(module: StandIn, verb: t.Callable[[t.Any], dict[str, t.Any]]) -> dict[str, t.Any]:
    with pytest.raises(Left) as left:
        run(module, verb)
    return left.value.result


def failing(error: Exception) -> t.Callable[[t.Any], dict[str, t.Any]]:
    def verb(_module: t.Any) -> dict[str, t.Any]:
        raise error

    return verb


def test_a_result_leaves_as_it_is_and_its_secrets_masked() -> None:
    found = outcome(StandIn(), lambda module: {"changed": True, "rows": 3, "say": f"as {module.params['dsn']}"})
    assert found == {"changed": True, "rows": 3, "say": f"as {MASK}"}


@pytest.mark.parametrize("diff", [True, False])
def test_the_diff_is_returned_only_when_asked_for(diff: bool) -> None:
    found = outcome(StandIn(diff), lambda _module: {"changed": False, "diff": {"before": "s3cr3t", "after": ""}})
    assert found.get("diff") == ({"before": MASK, "after": ""} if diff else None)


def test_a_domain_error_fails_with_what_why_and_what_to_do_and_its_facts() -> None:
    error = DataRefused("The load stopped", f"no login with {DSN}", "Correct it.", rows=["s3cr3t", 1])
    assert outcome(StandIn(), failing(error)) == {
        "failed": True,
        "changed": False,
        "msg": f"The load stopped: no login with {MASK}. Correct it.",
        "error": "data_refused",
        "rows": [MASK, 1],
    }


def test_an_error_can_say_that_something_was_changed() -> None:
    assert outcome(StandIn(), failing(CutoverError("x", changed=True)))["changed"] is True


def test_secrets_nested_in_an_option_are_masked() -> None:
    module = StandIn(tokens={"api": ["tok-1", {"b": "tok-2"}]})
    assert outcome(module, lambda _module: {"say": "tok-1 tok-2"}) == {"say": f"{MASK} {MASK}"}


def test_an_option_marked_as_no_secret_is_shown() -> None:
    assert outcome(StandIn(key="visible"), lambda _module: {"say": "visible"}) == {"say": "visible"}


def test_any_other_exception_is_a_defect_and_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError):
        run(StandIn(), lambda _module: {"rows": 1 // 0})
