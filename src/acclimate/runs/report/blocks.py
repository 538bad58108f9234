"""What a page is made of: sections with blocks in them, as plain values for the template."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from acclimate.runs.report.words import Words

Block = dict[str, Any]
Told = tuple[str, str]
"""A sentence and the language that it is in."""


def section(name: str, title: str, lead: Sequence[str], blocks: Iterable[Block | None]) -> Block:
    """A section of the page; blocks that are None are left out."""
    return {"id": name, "title": title, "lead": list(lead), "blocks": [block for block in blocks if block is not None]}


def paragraphs(*sentences: str | Told) -> Block | None:
    """A paragraph each, in the page's language unless another is named; nothing without any."""
    each = [(sentence, "") if isinstance(sentence, str) else sentence for sentence in sentences]
    said = [one for one in each if one[0]]
    return {"kind": "paragraphs", "sentences": said} if said else None


def bullets(title: str, told: Sequence[Told]) -> Block | None:
    """A list of sentences that the run wrote; nothing without any."""
    return {"kind": "list", "title": title, "items": list(told)} if told else None


def heading(title: str, level: str = "", level_name: str = "") -> Block:
    """A heading below that of the section, with a mark of how it stands, if it has one."""
    return {"kind": "heading", "title": title, "level": level, "level_name": level_name}


def figures(*drawn: tuple[str, str]) -> Block | None:
    """Pictures beside each other, each with its caption."""
    found = [{"svg": svg, "caption": caption} for svg, caption in drawn if svg]
    return {"kind": "figures", "figures": found} if found else None


def split(svg: str, caption: str, *blocks: Block | None) -> Block | None:
    """A picture with blocks beside it; nothing without a picture."""
    kept = [block for block in blocks if block is not None]
    return {"kind": "split", "figure": {"svg": svg, "caption": caption}, "blocks": kept} if svg else None


def facts(title: str, pairs: Sequence[tuple[Any, Any]]) -> Block:
    """Names and values in columns."""
    return {"kind": "facts", "title": title, "pairs": [(str(name), str(value)) for name, value in pairs]}


def table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Iterable[int] = (), strong: int = -1
) -> Block | None:
    """A table whose first column names its rows; columns that are empty in every row are left out.

    Args:
        caption: what it shows.
        columns: their names.
        rows: cells as text, or as a pair of text and what stands smaller below it.
        numbers: which columns hold numbers, and stand to the right.
        strong: the row that is marked.
    """
    if not rows:
        return None
    kept = [k for k in range(len(columns)) if k == 0 or any(_cell(row[k])["text"] for row in rows)]
    right = set(numbers)
    return {
        "kind": "table",
        "caption": caption,
        "columns": [{"name": columns[k], "right": k in right} for k in kept],
        "rows": [[{**_cell(row[k]), "right": k in right} for k in kept] for row in rows],
        "strong": strong,
    }


def _cell(cell: Any) -> dict[str, str]:
    text, detail = cell if isinstance(cell, tuple) else (cell, "")
    return {"text": str(text), "detail": str(detail)}


def code(title: str, text: str, folded: bool = False) -> Block:
    """Text for a machine, such as a command; ``folded`` hides it behind its title."""
    return {"kind": "code", "title": title, "text": text, "folded": folded}


def listed(words: Words, names: Sequence[str], longest: int = 12) -> str:
    """``a, b and c``; of many the first ones."""
    names = [*names[:longest], "…"] if len(names) > longest else list(names)
    if len(names) < 2:
        return "".join(names)
    return words("list.comma").join(names[:-1]) + words("list.and") + names[-1]


def told(words: Words, sentences: Iterable[str]) -> list[Told]:
    """Sentences of the run in the page's language, as far as it can say them."""
    return [words.told(sentence) for sentence in sentences]


def called(folder: Path) -> str:
    """A run's folder as a command names it where its page is written; of one that lies elsewhere the name alone."""
    whole, here = folder.resolve(), Path.cwd()
    inside = whole != here and whole.is_relative_to(here)
    return shlex.quote(str(whole.relative_to(here)) if inside else whole.name)


def unchosen(value: Mapping[str, Any]) -> bool:
    """Whether ``auto`` is the source's model, as nothing ranked its candidates."""
    found = arm(value, "auto")
    return found is not None and any(stage.get("judged") is False for stage in found["stages"])


def arm(value: Mapping[str, Any], name: str | None) -> Mapping[str, Any] | None:
    """An arm of a result by its name."""
    return next((row for row in value["arms"] if row["name"] == name), None)
