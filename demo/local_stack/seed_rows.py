# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of one profile, made from a fixed seed: the same profile and number give the same rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from .seed_text import maybe_awkward, sentence

_FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
_ITEMS_PER_AUTHOR = 25
_PLATFORMS = ("tiktok", "tiktok", "tiktok", "instagram", "youtube")
_ODD_TIMES = ("", "yesterday", "2026-13-45", "12/11/2026", "1767600000", "2026-01-05 10:00")
_STATUSES = ("raw", "reviewing", "scheduled", "posted", "archived")
# At most this many items share one time: an import stamps whole batches alike, which makes paging unstable.
_BATCH = 400


@dataclass(frozen=True)
class ProfilePlan:
    """What to make: the profile, the number of its first item, and how many."""

    source_id: str
    first: int
    items: int

    def random(self, purpose: str) -> Random:
        """Return this purpose's own generator, so that one table's rows do not shift another's."""
        return Random(f"{self.source_id}/{self.items}/{purpose}")

    def item_id(self, index: int) -> str:
        """Return the id of the profile's n-th item."""
        return str(7_300_000_000_000_000_000 + self.first + index)

    def share(self, purpose: str, share: float) -> list[int]:
        """Return a sorted selection of item numbers, at least one."""
        count = max(1, round(self.items * share)) if self.items else 0
        return sorted(self.random(purpose).sample(range(self.items), count))


def stamp(seconds: int) -> str:
    """Return a time as the application writes it."""
    return (_FIRST_DAY + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def video_rows(plan: ProfilePlan) -> Iterator[tuple[Any, ...]]:
    """Yield rows of videos."""
    random = plan.random("videos")
    authors = max(1, plan.items // _ITEMS_PER_AUTHOR)
    for index in range(plan.items):
        author = random.randrange(authors)
        bookmarked = 1 if random.random() < 0.2 else 0
        item_id = plan.item_id(index)
        yield (
            plan.source_id,
            item_id,
            random.choice(_PLATFORMS),
            author_id(author),
            f"creator_{author:05d}" if random.random() > 0.01 else None,
            maybe_awkward(random, f"Creator {author}"),
            random.choice((None, 0, 2_147_483_647)) if random.random() < 0.02 else random.randrange(5_000_000),
            random.randrange(50_000_000),
            random.randrange(4000),
            maybe_awkward(random, sentence(random, 6)) if random.random() > 0.3 else None,
            random.choice((0, 0, 0, 1, None)),
            maybe_awkward(random, f"{plan.source_id}: {sentence(random, 9)}"),
            bookmarked,
            _bookmark_time(random) if bookmarked else None,
            f"media/{plan.source_id}/{item_id}.mp4",
            f"covers/{item_id}.jpg" if random.random() > 0.1 else None,
            hashlib.sha256(f"{plan.source_id}/{item_id}".encode()).hexdigest(),
            stamp(index // _BATCH * 3600),
        )


def meta_rows(plan: ProfilePlan) -> Iterator[tuple[Any, ...]]:
    """Yield rows of user_meta, for one item in twenty."""
    random = plan.random("meta")
    for index in plan.share("meta-items", 0.05):
        statuses = random.sample(_STATUSES, random.randrange(1, 4))
        links = [f"https://example.org/{random.randrange(900)}"] if random.random() < 0.1 else None
        yield (
            plan.source_id,
            plan.item_id(index),
            random.choice((None, 0, 1, 2, 3, 4, 5)),
            statuses[0],
            json.dumps(statuses),
            maybe_awkward(random, ",".join(random.sample(("hook", "trend", "q1", "b-roll"), 2)), 0.2),
            maybe_awkward(random, sentence(random, 12), 0.5),
            f"https://shop.example.org/p/{random.randrange(999)}" if random.random() < 0.3 else None,
            json.dumps(links) if links else None,
            maybe_awkward(random, "tiktok,youtube", 0.1),
            maybe_awkward(random, None, 0.3),
            None,
            random.choice((*_ODD_TIMES, stamp(random.randrange(9_000_000)), None)),
            stamp(random.randrange(9_000_000)),
        )


def note_rows(plan: ProfilePlan) -> Iterator[tuple[Any, ...]]:
    """Yield rows of video_notes, for one item in twenty."""
    random = plan.random("notes")
    for index in plan.share("note-items", 0.05):
        body = "\n".join(sentence(random, 8) for _turn in range(random.randrange(1, 12)))
        yield (
            plan.source_id,
            plan.item_id(index),
            maybe_awkward(random, f"# Note\n\n{body}\n", 0.3),
            random.choice(("1", "user", None)),
            stamp(random.randrange(9_000_000)),
        )


def consolidated_rows(plan: ProfilePlan) -> Iterator[tuple[Any, ...]]:
    """Yield rows of csv_consolidated_raw, one per item."""
    random = plan.random("consolidated")
    for index in range(plan.items):
        item_id = plan.item_id(index)
        row = {
            "id": item_id,
            "caption": maybe_awkward(random, sentence(random, 9)),
            "plays": random.randrange(10**9),
        }
        digest = hashlib.sha256(f"{plan.source_id}/{item_id}".encode()).hexdigest()
        yield (
            plan.source_id,
            item_id,
            json.dumps(row, ensure_ascii=False),
            digest,
            stamp(index // _BATCH * 3600),
        )


def author_rows(plan: ProfilePlan) -> Iterator[tuple[Any, ...]]:
    """Yield rows of csv_authors_raw, one per author."""
    random = plan.random("authors")
    for author in range(max(1, plan.items // _ITEMS_PER_AUTHOR)):
        row = {"author_id": author_id(author), "bio": maybe_awkward(random, sentence(random, 5), 0.2)}
        yield plan.source_id, author_id(author), json.dumps(row, ensure_ascii=False), stamp(0)


def bookmark_rows(plan: ProfilePlan) -> Iterator[tuple[Any, ...]]:
    """Yield rows of csv_bookmarks_raw, for one item in five."""
    random = plan.random("bookmarks")
    for index in plan.share("bookmark-items", 0.2):
        row = {"Date": _bookmark_time(random), "Link": f"https://example.org/v/{plan.item_id(index)}"}
        yield plan.source_id, plan.item_id(index), json.dumps(row, ensure_ascii=False), stamp(7200)


def artifact_rows(plan: ProfilePlan) -> Iterator[tuple[Any, ...]]:
    """Yield rows of scheduling_artifacts, up to two platforms an item."""
    random = plan.random("artifacts")
    for index in plan.share("artifact-items", 0.01):
        for platform in ("tiktok", "youtube")[: random.randrange(1, 3)]:
            artifact = {"title": maybe_awkward(random, sentence(random, 4), 0.3), "platform": platform}
            yield (
                plan.source_id,
                plan.item_id(index),
                platform,
                json.dumps(artifact, ensure_ascii=False),
                random.choice((None, "", "https://media.example.org/a.mp4")),
                random.choice(("draft_review", "approved", "rejected")),
                stamp(random.randrange(9_000_000)),
                stamp(random.randrange(9_000_000)),
            )


def job_rows(plan: ProfilePlan) -> Iterator[tuple[Any, ...]]:
    """Yield rows of job_queue; its ids are unique across profiles."""
    random = plan.random("jobs")
    for number, index in enumerate(plan.share("job-items", 0.01)):
        failed = random.random() < 0.2
        yield (
            f"job-{plan.source_id}-{number:06d}",
            plan.source_id,
            plan.item_id(index),
            random.choice(("tiktok", "youtube")),
            random.choice(("render", "upload", "publish")),
            "failed" if failed else random.choice(("pending", "done")),
            random.choice((None, stamp(random.randrange(9_000_000)))),
            None,
            None if failed else '{"ok": true}',
            maybe_awkward(random, "upload timed out", 0.5) if failed else None,
            random.randrange(4),
            stamp(random.randrange(9_000_000)),
            stamp(random.randrange(9_000_000)),
        )


def author_id(number: int) -> str:
    """Return the id of an author; authors are shared between profiles, as in real life."""
    return str(6_800_000_000_000_000_000 + number)


def _bookmark_time(random: Random) -> str:
    return random.choice(_ODD_TIMES) if random.random() < 0.02 else stamp(random.randrange(9_000_000))
