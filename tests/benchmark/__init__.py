# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the collection beside pgloader and psql, in turn in one run on one server (C(make bench))."""
