# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes as fast as the application answers, each remembered: no acknowledged one may be lost by a cutover."""
