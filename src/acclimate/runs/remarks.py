"""What is remarked of the data before anything is trained."""

from __future__ import annotations

from collections import Counter

from acclimate.domains.domain import Domain
from acclimate.methods.data import Data

SHOWN = 5
"""Classes that a remark names."""


def unjudged(data: Data) -> tuple[str, ...]:
    """A remark on classes of the source of which no row is held out."""
    if data.source_task.kind != "class" or data.source is None or data.source_validation is None:
        return ()
    assert data.source.labels is not None and data.source_validation.labels is not None
    counts = Counter(data.source.labels.tolist())
    missing = sorted(set(counts) - set(data.source_validation.labels.tolist()))
    if not missing:
        return ()
    told = ", ".join(f"{name} {counts[name]}" for name in missing[:SHOWN])
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    return (f"no row could be held out of {told}{more}: nothing tells how well these classes are known",)


def strangers(data: Data, labelled: Domain | None) -> tuple[str, ...]:
    """A remark on classes that only the target's labels have, and with which the target's task becomes another one."""
    if labelled is None or labelled.labels is None or not data.unknown_class:
        return ()
    counts = Counter(labelled.labels.tolist())
    new = [name for name in sorted(counts) if name not in data.source_task.config()["classes"]]
    told = ", ".join(f"'{name}' ({counts[name]} rows)" for name in new[:SHOWN])
    return (f"only the target's labels have {told}: no source model can be compared; a misspelling?",)
