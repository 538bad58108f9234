"""Every task by name, and how one is found from labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.errors import DataError, SettingsError, unknown
from acclimate.tasks.base import Task
from acclimate.tasks.flags import are_flags


@dataclass(frozen=True)
class Entry:
    """A task.

    Attributes:
        module: of this package.
        cls: its class there.
        about: what it asks.
        written: its form, module and class, for a backbone that comes with what answers (it writes texts, or finds
            objects); None: the one form that it has.
        several: its form, module and class, for labels that are lists; None: the same.
    """

    module: str
    cls: str
    about: str
    written: tuple[str, str] | None = None
    several: tuple[str, str] | None = None


TASKS: dict[str, Entry] = {
    "classify": Entry("classify", "Classify", "one of several classes for each row"),
    "answer": Entry("answer", "Answer", "a place in a text for each question (input: question, then text)"),
    "command": Entry("command", "Command", "the word or the intent that each sound holds"),
    "detect": Entry(
        "detect",
        "Detect",
        "a box around each object of images (COCO, Pascal VOC, annotations.json)",
        ("queries", "DetectByQueries"),
    ),
    "generate": Entry("generate", "Generate", "what follows each text (a causal language model)"),
    "rank": Entry("rank", "Rank", "the items that each user will like, best first (--user, --item)"),
    "rate": Entry("rate", "Rate", "the rating that each user would give to an item (--user, --item, --rating)"),
    "remaining_life": Entry("remaining_life", "RemainingLife", "how many more steps each machine will run (series)"),
    "segment": Entry("segment", "Segment", "a category for each pixel of images (folders of masks beside them)"),
    "summarize": Entry(
        "summarize",
        "Summarize",
        "the sentences of each text that make a summary, or a text of its own",
        ("summarize", "WriteSummary"),
    ),
    "tag": Entry("tag", "Tag", "a tag for each word, such as named entities (input: lists of words)"),
    "transcribe": Entry(
        "transcribe", "Transcribe", "what is said in each sound", written=("transcribe", "TranscribeWritten")
    ),
    "translate": Entry("translate", "Translate", "each text in another language (an encoder-decoder)"),
    "multilabel": Entry("multilabel", "Multilabel", "several yes-or-no labels for each row, blanks allowed"),
    "regress": Entry(
        "regress", "Regress", "a number for each row, or several", several=("regress_several", "RegressSeveral")
    ),
    "verify": Entry("verify", "Verify", "whether two rows, such as faces, are of one person"),
    "verify_speaker": Entry("verify", "VerifySpeaker", "whether two sounds are of one voice"),
}
MOST_CLASSES = 20
"""Whole-number labels with more distinct values than this may be either: the user says."""


def infer(labels: np.ndarray) -> str:
    """The task that canonical labels show.

    Words are classes, fractions are numbers, a few whole numbers are classes, lists of 0, 1 and null are several
    labels.

    Raises:
        DataError: many distinct whole numbers could be either; or most labels are numbers, fractions among them, and
            some are not; or they are lists.
    """
    if len(labels) and all(are_flags(str(label)) for label in labels):
        return "multilabel"
    if len(labels) and all(_is_list(str(label)) for label in labels):
        raise DataError(
            f"the labels are lists, such as {labels[0][:60]}: say --task answer (answers to a question; input: the "
            "question, then its text), --task tag (a tag for each word), or --task regress (several numbers)"
        )
    distinct = {str(label): _number(str(label)) for label in labels}
    fractions = any(number is not None and np.isfinite(number) and number % 1 for number in distinct.values())
    words = [i for i, label in enumerate(labels) if distinct[str(label)] is None]
    if fractions and 0 < len(words) < len(labels) / 2:
        raise DataError(
            f"most labels are numbers, but {len(words)} of {len(labels)} are not: the first is '{labels[words[0]]}' in "
            f"row {words[0] + 1}; mend them, or say --task classify"
        )
    if words or fractions:
        return "classify" if words else "regress"
    if len(distinct) > MOST_CLASSES:
        raise DataError(
            f"the labels are {len(distinct)} different whole numbers: classes or amounts? "
            "Say --task classify or --task regress"
        )
    return "classify"


def _is_list(text: str) -> bool:
    """Whether a label is a list or a mapping, as JSON."""
    if text[:1] not in "[{":
        return False
    try:
        return isinstance(json.loads(text), list | dict)
    except ValueError:
        return False


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def find(name: str, writes: bool = False, several: bool = False) -> type[Task]:
    """The class of a task.

    Args:
        name: of the task.
        writes: for a backbone that comes with what answers.
        several: for labels that are lists.

    Raises:
        SettingsError: no such task; names the nearest.
    """
    if name not in TASKS:
        raise SettingsError(unknown("task", name, TASKS))
    entry = TASKS[name]
    module, cls = entry.module, entry.cls
    if several and entry.several:
        module, cls = entry.several
    elif writes and entry.written:
        module, cls = entry.written
    return getattr(import_module(f"acclimate.tasks.{module}"), cls)


def has_written(name: str) -> bool:
    """Whether a task has another form for backbones that come with what answers."""
    return name in TASKS and TASKS[name].written is not None


def create(name: str | None, domain: Domain, writes: bool = False) -> Task:
    """The task for a labelled domain; ``None`` finds it from the labels. ``writes`` as for `find`.

    Raises:
        SettingsError: no such task; names the nearest.
        DataError: labels that do not fit the task.
    """
    several = domain.labels is not None and len(domain.labels) > 0 and _is_list(str(domain.labels[0]))
    cls = None if name is None else find(name, writes, several)
    if domain.labels is None:
        raise DataError(f"{domain.name}: no labels; name their column with --label")
    return (cls or find(infer(domain.labels))).from_domain(domain)


def restore(config: Mapping[str, Any]) -> Task:
    """The task of a saved model.

    Raises:
        DataError: a config that no task of this version wrote.
    """
    try:
        return find(config["name"], bool(config.get("writes")), bool(config.get("several"))).from_config(config)
    except (KeyError, TypeError, ValueError, SettingsError):
        raise DataError(f"not a task of this version: {dict(config)!r}") from None
