# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Kept in step with module_utils/_options.py: csv_files_options()
    DOCUMENTATION = r"""
options:
  csv_files:
    description:
      - CSV files that hold the profile's rows, one for each table, instead of O(sqlite_path). Tables without a file get
        nothing.
      - They are read as C(COPY) reads them, strictly by RFC 4180, in UTF-8, a byte order mark at the beginning allowed.
        The first line names columns of the target table, in any order. A name that the table does not have, a name
        that is there twice and a line of another number of fields are refused by file and line, and nothing is loaded.
      - Where no column is named like O(tenant_column), every row is taken for the profile's own.
      - Rows are looked at, converted and compared as those of a SQLite file in which every value is a text. The
        O(policies) V(boolean_text), V(text_as_number) and V(hex_as_bytes) are therefore V(convert) unless they are
        given otherwise.
      - A record may take up to 256 MiB. The memory needed does not depend on the number of rows; the temporary folder
        of the task (C(remote_tmp)) needs about as much space as the files take.
      - O(shared_tables) and O(exclude_tables) may only name tables that have a file.
    type: list
    elements: dict
    suboptions:
      table:
        description: The table in the tenant schema, or one of O(shared_tables).
        type: str
        required: true
      path:
        description: The file.
        type: path
        required: true
      sha256:
        description: The SHA-256 of the file. A file that has another one is refused.
        type: str
      delimiter:
        description: The character between fields, as for C(COPY).
        type: str
        default: ","
      null_string:
        description:
          - What means NULL when it stands without quotes, as the option C(NULL) of C(COPY). By default nothing, so that
            an empty field is NULL and C("") an empty text.
        type: str
        default: ""
"""
