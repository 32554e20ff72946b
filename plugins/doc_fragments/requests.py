# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Kept in step with module_utils/_options.py: requests_options()
    DOCUMENTATION = r"""
options:
  headers:
    description:
      - Sent with every request; C({source_id}) in it is filled. An C(X-Request-ID) lets our own questions be left out
        of a request log.
      - Values of headers that look like credentials are masked in the result.
    type: dict
    default: {}
  secret_headers:
    description: Like O(headers), for values that must not be seen, such as an API key.
    type: dict
    default: {}
  validate_certs:
    description: Whether the application's TLS certificate must be valid.
    type: bool
    default: true
  ca_path:
    description:
      - Path of the certificate authority that signed the application's certificate. O(ca_cert) is PostgreSQL's.
    type: path
"""
