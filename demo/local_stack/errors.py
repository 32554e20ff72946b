# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error of the local stack."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot do what was asked; the text says why and what to do."""
