# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP routes, one file per topic."""
