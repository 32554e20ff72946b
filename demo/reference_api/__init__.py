# SPDX-License-Identifier: GPL-3.0-or-later
"""The system under cutover: a small API with the habits of a real one, kept on purpose."""

from __future__ import annotations

API_VERSION = "1.0.0"
