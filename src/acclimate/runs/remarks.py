"""What is remarked of the data before anything is trained."""

from __future__ import annotations

from collections import Counter

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.methods.data import Data

SHOWN = 5
"""Classes that a remark names."""
LOOKED_AT = 32
"""Images in which colours are looked for."""


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


def colourless(data: Data, channels: int | None) -> tuple[str, ...]:
    """A remark on images in colour of which a network of one channel sees the brightness alone."""
    domains = [domain for domain in (data.source, data.target, data.labelled_target) if domain is not None]
    if channels != 1 or not any(map(_coloured, domains)):
        return ()
    return ("images in colour are read in grey; backbone.channels=3 reads their colours",)


def _coloured(domain: Domain) -> bool:
    images = domain.rows.take(domain.order[:LOOKED_AT])
    wide = [image[..., :3] for image in images if image.ndim == 3 and image.shape[-1] >= 3]
    return any(bool((np.ptp(image.astype(np.int16), axis=-1) > 0).any()) for image in wide)
