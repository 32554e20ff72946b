# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole small fleet below one folder: PostgreSQL, the reference API twice, and a service manager."""

from __future__ import annotations
