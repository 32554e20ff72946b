# SPDX-License-Identifier: GPL-3.0-or-later
"""The note of an item."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ..call import CurrentCall
from ..notes import NoteBody, note_of, replace_note

router = APIRouter()


@router.get("/items/{id}/note")
def get_note(id: str, call: CurrentCall) -> dict[str, Any]:
    """Return an item's note, stored or made up."""
    with call.session() as database:
        return note_of(database, call.source_id, id)


@router.put("/items/{id}/note-md")
def put_note(id: str, body: NoteBody, call: CurrentCall) -> dict[str, Any]:
    """Store an item's note."""
    return call.write(lambda database: replace_note(database, call.source_id, id, body))
