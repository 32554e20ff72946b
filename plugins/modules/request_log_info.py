#!/usr/bin/python
# Copyright (c) 2026, pg_cutover developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: request_log_info
short_description: Count requests, errors and latencies in an application's request log
version_added: 1.0.0
description:
  - Reads the request logs of an application or of the web server in front of it, and returns how many requests there
    were, how many were answered 4xx and 5xx, by route and by error code, and how long they took.
  - Percentiles are at most 1 % off. A log of any size is read in bounded memory, by up to four processes.
  - Only counts and names of routes are returned, never a line of the log nor the query of a request.
extends_documentation_fragment:
  - sxops.pg_cutover.attributes
attributes:
  check_mode:
    details: It only ever reads.
  diff_mode:
    support: N/A
    details: It only ever reads.
options:
  paths:
    description:
      - The logs on the managed host, those of several instances of one application for instance. A missing one fails.
      - A line is read once it is complete. What is behind the last line break is left to the next call.
    type: list
    elements: path
    required: true
    aliases: [path]
  format:
    description:
      - How a line is written.
      - V(json) is one JSON object with C(status), C(route), C(latency) in milliseconds, C(error_code) and
        C(request_id); all but C(status) may be missing. Its time is that of C(timestamp), C(time), C(ts) or
        C(@timestamp), as ISO 8601 or as seconds, milliseconds, microseconds or nanoseconds since 1970.
      - V(combined) is what Apache, nginx and gunicorn write, the common format included. A number with a decimal point
        behind its last quoted field is the seconds that the request took (C($request_time) of nginx). It may have a
        name with C(=) in front.
      - V(uvicorn) is the access log of uvicorn, which has no latency, and a time only when it is configured to put one
        at the start of the line. Its other messages are passed over.
      - V(regex) is what O(pattern) finds.
      - A time without a zone is one of the managed host's zone.
      - V(combined), V(uvicorn) and the group C(path) of O(pattern) know paths, not routes. In them each segment that is
        a number, a UUID, or 16 or more hexadecimal digits becomes C({id}).
    type: str
    choices: [combined, json, regex, uvicorn]
    default: json
  pattern:
    description:
      - The expression for O(format=regex), in the syntax of Python's C(re), searched for anywhere in a line.
      - Its named groups are C(status), which is required, C(route) or C(path), C(latency_ms), C(latency_s) or
        C(latency_us), C(time), C(request_id) and C(error_code).
      - Lines of more than 8192 characters count as malformed, and an expression that needs more than 20 s of the
        processor's time for a megabyte fails.
    type: str
  exclude_request_ids:
    description:
      - An expression. Lines whose request id it matches anywhere are not counted, our own smoke checks for instance.
      - Formats without request ids leave nothing out.
    type: str
  since:
    description: Count requests from this time on, ISO 8601 with a zone.
    type: str
  until:
    description: Count requests before this time, ISO 8601 with a zone.
    type: str
  last_seconds:
    description: Count requests of so many seconds until now.
    type: float
  position:
    description:
      - RV(position) of an earlier call. Only what was written since then is read, also when the logs were rotated
        meanwhile. This works for logs without times.
      - A log that is not in it is read from its start.
    type: dict
  rotated:
    description:
      - With O(since), O(until) or O(last_seconds), read also what rotation made of a log (C(<path>.1), C(<path>.2.gz),
        C(<path>-20261127.xz) and the like) as far as it was written to in that span. With none of them only the log
        itself is read.
      - O(position) finds its place among the rotated files in any case.
    type: bool
    default: true
  top:
    description:
      - How many routes and error codes are named, the most frequent first. The rest is put together as V((other\)).
      - Not more than 200 to 400 different ones are told apart while counting. Where a log has more, the rare ones are
        put together early, and one that becomes frequent late may be counted short.
    type: int
    default: 20
seealso:
  - module: sxops.pg_cutover.smoke_check
author:
  - pg_cutover developers (@sxops)
"""

EXAMPLES = r"""
- name: Look at the last ten minutes of two instances
  sxops.pg_cutover.request_log_info:
    paths:
      - /var/log/sx/api-1.jsonl
      - /var/log/sx/api-2.jsonl
    last_seconds: 600
    exclude_request_ids: ^pg-cutover-
  register: requests

- name: See what has come since then
  sxops.pg_cutover.request_log_info:
    paths: "{{ requests.position.keys() | list }}"
    position: "{{ requests.position }}"

- name: Look at an hour of nginx's log, rotated or not
  sxops.pg_cutover.request_log_info:
    path: /var/log/nginx/access.log
    format: combined
    since: "2026-11-27T14:00:00+01:00"
    until: "2026-11-27T15:00:00+01:00"

- name: Read a format of one's own
  sxops.pg_cutover.request_log_info:
    path: /var/log/sx/api.log
    format: regex
    pattern: '^(?P<time>\S+) \S+ (?P<path>\S+) -> (?P<status>\d{3}) in (?P<latency_us>\d+)us$'
"""

RETURN = r"""
requests:
  description: How many requests were counted.
  returned: success
  type: int
  sample: 1280
errors_4xx:
  description: How many of them were answered 400 to 499.
  returned: success
  type: int
  sample: 12
errors_5xx:
  description: How many of them were answered 500 to 599.
  returned: success
  type: int
  sample: 1
error_percent:
  description: How many of a hundred were answered 500 to 599. Null without requests.
  returned: success
  type: float
  sample: 0.0781
latency_ms:
  description:
    - Within how many milliseconds so many percent were answered, at most 1 % off. Null where no latency is known.
  returned: success
  type: dict
  contains:
    p50:
      description: Half of them.
      type: float
      sample: 4.3
    p95:
      description: 95 percent of them.
      type: float
      sample: 24.37
    p99:
      description: 99 percent of them.
      type: float
      sample: 88.1
by_route:
  description: The same by route, the most frequent first.
  returned: success
  type: list
  elements: dict
  contains:
    route:
      description: The route or path, V((other\)) for those that are not named, V((no route\)) where the line has none.
      type: str
      sample: /items/{id}
    requests:
      description: How many requests.
      type: int
      sample: 700
    errors_4xx:
      description: How many of them were answered 400 to 499.
      type: int
      sample: 12
    errors_5xx:
      description: How many of them were answered 500 to 599.
      type: int
      sample: 0
    p95_ms:
      description: Within how many milliseconds 95 percent were answered. Null where no latency is known.
      type: float
      sample: 12.9
by_error_code:
  description: How many requests had which error code, the most frequent first.
  returned: success
  type: list
  elements: dict
  contains:
    error_code:
      description: The code, C(HTTP_<status>) where a failed request has none.
      type: str
      sample: HTTP_404
    count:
      description: How many.
      type: int
      sample: 12
malformed:
  description: How many lines are not of O(format), of all that were read, whatever their time.
  returned: success
  type: int
  sample: 0
malformed_lines:
  description: The first five of them.
  returned: success
  type: list
  elements: dict
  contains:
    file:
      description: The file.
      type: str
      sample: /var/log/sx/api-1.jsonl
    line:
      description: Its number, from 1. Null after a O(position) that does not know how many lines stand before it.
      type: int
      sample: 4711
    reason:
      description: What is wrong with it. Its contents may be secret and are not told.
      type: str
      sample: it is not JSON
without_time:
  description:
    - How many lines have no time where O(since), O(until) or O(last_seconds) asks for one. They are not in the other
      figures.
  returned: success
  type: int
  sample: 0
excluded:
  description: How many lines O(exclude_request_ids) left out, whatever their time.
  returned: success
  type: int
  sample: 36
first:
  description: The time of the earliest request counted, in UTC. Null when no request has a time.
  returned: success
  type: str
  sample: "2026-11-27T14:20:00.112Z"
last:
  description: The time of the latest.
  returned: success
  type: str
  sample: "2026-11-27T14:29:59.870Z"
since:
  description: From when on requests were counted, in UTC. Null without a bound.
  returned: success
  type: str
  sample: "2026-11-27T14:20:00.000Z"
until:
  description: Before when requests were counted, in UTC. Null without a bound.
  returned: success
  type: str
  sample: null
files:
  description: The files that were read.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
      sample: /var/log/sx/api-1.jsonl
    lines:
      description: How many lines were read, counted or not.
      type: int
      sample: 6400
position:
  description: By path, where a later call goes on when it is given this as O(position).
  returned: success
  type: dict
  sample:
    /var/log/sx/api-1.jsonl:
      device: 2049
      inode: 1311
      offset: 914203
      line: 6400
      before: 2f1c0a9d4be0d0f56f1a1d4de6f4c4a5d8b8f7a4c7c9e5a0c3f5f0a9b1e2d3c4
verdict:
  description:
    - V(passed) when the figures are those of the requests asked for.
    - V(not_verified) when not one request was counted, when a line has no time and one was asked for, when more than
      10 % of the lines are malformed, or when lines since O(position) may be missing. RV(message) says which.
  returned: success
  type: str
  sample: passed
message:
  description: The figures as a sentence, and why they are not verified.
  returned: success
  type: str
  sample: 1280 requests, 12 of them answered 4xx and 1 5xx (0.0781 %), 95 % of them within 24.37 ms.
duration_ms:
  description: How long reading took, in milliseconds.
  returned: success
  type: int
  sample: 64
error:
  description: The kind of failure, one word.
  returned: failure
  type: str
  sample: request_log
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sxops.pg_cutover.plugins.module_utils._entry_point import run
from ansible_collections.sxops.pg_cutover.plugins.module_utils._request_figures import figures


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "required": True, "aliases": ["path"]},
            "format": {"type": "str", "choices": ["combined", "json", "regex", "uvicorn"], "default": "json"},
            "pattern": {"type": "str"},
            "exclude_request_ids": {"type": "str"},
            "since": {"type": "str"},
            "until": {"type": "str"},
            "last_seconds": {"type": "float"},
            "position": {"type": "dict"},
            "rotated": {"type": "bool", "default": True},
            "top": {"type": "int", "default": 20},
        },
        mutually_exclusive=[("since", "last_seconds")],
        required_if=[("format", "regex", ["pattern"])],
        supports_check_mode=True,
    )
    run(module, lambda module: figures(module.params))


if __name__ == "__main__":
    main()
