"""Conversations, as the JSON of the package `chitchat-dataset` holds them: messages with their senders."""

from itertools import groupby
from pathlib import Path
from typing import Any

from pipeline.params import ColumnsParams
from pipeline.sources.json_values import check_kind, member, parse
from pipeline.sources.well_formed import check_columns


def read_conversations(path: Path, text: str, columns: ColumnsParams) -> dict[str, list[str]]:
    """Return each conversation as one row of the column `text`, with each turn on a line of its own.

    A turn is what one sender writes until another one does; that speakers take turns is all a line says of who speaks.
    Raises InputError that names the conversation and its messages where they have another shape.
    """
    check_columns(path, ["text"], columns)
    whole = parse(str(path), text)
    check_kind(str(path), whole, dict)
    places = (f"{path}: conversation {number} ({name})" for number, name in enumerate(whole, start=1))
    return {"text": [_conversation(place, value) for place, value in zip(places, whole.values(), strict=True)]}


def _conversation(place: str, value: Any) -> str:
    messages: list[tuple[str, str]] = []
    for number, group in enumerate(member(place, value, "messages", list), start=1):
        inside = f"{place}, group {number} of its messages"
        check_kind(inside, group, list)
        for message in group:
            words = member(inside, message, "text", str).split()
            messages.append((member(inside, message, "sender", str), " ".join(words)))
    by_sender = groupby((message for message in messages if message[1]), key=lambda message: message[0])
    return "\n".join(" ".join(words for _, words in turn) for _, turn in by_sender)
