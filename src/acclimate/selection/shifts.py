"""What differs most between two domains, in words that a person can check. No labels are involved."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.domains.molecules import describe
from acclimate.errors import DataError
from acclimate.selection.units import conversion

ROWS = 2000
IMAGES = 300
COLUMNS = 50
CHANNELS = 32
"""Channels of series that are looked at."""
CHARACTERS = 20_000
CHANCE = 0.01
"""How often a column that does not differ may be reported."""
WORD_Z = 4.0
PRIOR_DOCUMENTS = 10.0


@dataclass(frozen=True)
class Shift:
    """One thing that differs.

    Attributes:
        name: column, word, or property of the image or sound.
        score: 0 (equal) to 1 (disjoint): distance of the distributions, or difference of the shares.
        detail: the figures, as a phrase.
    """

    name: str
    score: float
    detail: str


def most_shifted(source_domain: Domain, target_domain: Domain, top: int = 10) -> list[Shift]:
    """What differs most and by more than chance, strongest first.

    Words for text (by document frequency, see `shifted_words`) and the length; columns for tables and arrays; size,
    channels, brightness, contrast and colour for images; duration, rate and loudness for sound; level, spread and
    frequency of each channel for series; weight, rings, charge and the like of molecules. Columns are compared by the
    Kolmogorov-Smirnov distance, or total variation for categories, by their missing values and by categories that the
    source never showed. At most 2,000 rows a side are read, 300 of images, sound and series.

    Raises:
        DataError: an empty domain, or domains of different kinds.
    """
    source, target = source_domain.sealed(), target_domain.sealed()
    modality = source.schema.modality
    if modality != target.schema.modality:
        raise DataError(f"{source.name} is {modality}, {target.name} is {target.schema.modality}: not comparable")
    for domain in (source, target):
        if len(domain) == 0:
            raise DataError(f"{domain.name}: no rows")
    limit = IMAGES if modality in ("image", "audio", "series") else ROWS
    # Ids are content hashes, so the first ones are a random sample that no file order can change.
    raw = [domain.rows.take(domain.order[:limit]) for domain in (source, target)]
    if modality == "array":
        raw = [side.reshape(side.shape[0], -1) for side in raw]
        widths = [side.shape[1] for side in raw]
        if widths[0] != widths[1]:
            return [Shift("number of columns", 1.0, f"{widths[0]} in the source and {widths[1]} in the target")]
        raw = _differing_columns(*raw)
    tables = [_table(modality, rows) for rows in raw]
    shifts = [shift for name in tables[0] if name in tables[1] and (shift := _shift(name, *(t[name] for t in tables)))]
    shifts.sort(key=lambda shift: -shift.score)
    return shifted_words(raw[0], raw[1], top) + shifts if modality == "text" else shifts[:top]


def other_units(domain: Domain) -> list[str]:
    """Sentences on numbers that one of several joined tables has in another unit than the first one."""
    if domain.schema.modality != "table" or domain.origin is None:
        return []
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    found = []
    parts = [domain.select(np.flatnonzero(domain.origin == k)[:ROWS]) for k in np.unique(domain.origin)]
    first, *others = (part.rows.take(np.arange(len(part))) for part in parts)
    for k, other in enumerate(others, 2):
        for name in first:
            sides = [side[name].dropna() for side in (first, other) if name in side]
            if len(sides) == 2 and all(is_numeric_dtype(side) and not is_bool_dtype(side) for side in sides):
                unit = conversion(*(side.to_numpy(dtype=float) for side in sides))
                if unit is not None:
                    found.append(
                        f"column '{name}' of source {k} looks like that of source 1 {unit.words}: in another unit? "
                        "Nothing was converted"
                    )
    return found


def shifted_words(source: Iterable[str], target: Iterable[str], top: int = 10) -> list[Shift]:
    """The words whose document frequency differs most, by more than chance.

    Chance is judged by the z of the log-odds ratio, at least 4 either way, with a prior that is the
    frequency in both together, worth 10 documents: Monroe, Colaresi & Quinn, Fightin' Words, Political
    Analysis 2008. Texts are cut to the median length of the shorter side, as every word is likelier in a
    longer text.
    """
    texts = [[_words(text) for text in side] for side in (source, target)]
    shorter = int(min(np.median([len(words) for words in side]) for side in texts)) + 1
    documents = [[set(words[:shorter]) for words in side] for side in texts]
    counts = [Counter(word for words in side for word in words) for side in documents]
    sizes = [len(side) for side in documents]
    vocabulary = sorted(counts[0] | counts[1])
    if not vocabulary:
        return []
    found = np.array([[count[word] for word in vocabulary] for count in counts], dtype=float)
    prior = PRIOR_DOCUMENTS * (found.sum(axis=0) + 0.5) / (sum(sizes) + 1)
    having = found + prior
    lacking = np.array(sizes)[:, None] - found + PRIOR_DOCUMENTS - prior
    odds = np.log(having / lacking)
    # Words can be in nearly every document, so the variance has both terms.
    z = (odds[1] - odds[0]) / np.sqrt((1 / having + 1 / lacking).sum(axis=0))
    shares = found / np.array(sizes)[:, None]
    change = np.where(np.abs(z) >= WORD_Z, np.abs(shares[1] - shares[0]), 0.0)
    return [
        Shift(
            f"word '{vocabulary[k]}'",
            float(change[k]),
            f"in {shares[0, k]:.1%} of source and {shares[1, k]:.1%} of target texts",
        )
        for k in np.argsort(-change, kind="stable")[:top]
        if change[k] > 0
    ]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]{2,}", text[:CHARACTERS].lower())


def _table(modality: str, raw: Any) -> Any:
    """A frame whose columns describe raw inputs."""
    import pandas as pd

    if modality in ("table", "array"):
        return raw
    return pd.DataFrame([DESCRIBE[modality](row) for row in raw])


def _of_text(text: str) -> dict[str, float]:
    return {"length in words": len(text.split())}


def _of_image(image: np.ndarray) -> dict[str, float]:
    pixels = image.reshape(*image.shape[:2], -1) / 255.0
    return {
        "height in pixels": image.shape[0],
        "width in pixels": image.shape[1],
        "channels": pixels.shape[2],
        "brightness": pixels.mean(),
        "contrast": pixels.std(),
        "colourfulness": (pixels.max(axis=2) - pixels.min(axis=2)).mean(),
    }


def _of_sound(sound: tuple[np.ndarray, int]) -> dict[str, float]:
    samples, rate = sound
    power = float(np.mean(np.square(samples))) if len(samples) else 0.0
    return {
        "duration in seconds": len(samples) / rate,
        "rate in Hz": rate,
        "loudness in dB": 10 * np.log10(max(power, 1e-12)),
    }


def _of_series(window: np.ndarray) -> dict[str, float]:
    """Level and spread of each channel, and where in the spectrum its middle is."""
    found: dict[str, float] = {}
    for k, channel in enumerate(window[:CHANNELS].astype(float), 1):
        power = np.abs(np.fft.rfft(channel - channel.mean()))[1:] ** 2
        middle = np.arange(1, len(power) + 1) @ power / power.sum() if power.sum() > 0 else 0.0
        found |= {f"level of channel {k}": channel.mean(), f"spread of channel {k}": channel.std()}
        found[f"frequency of channel {k}, cycles a window"] = middle
    return found


DESCRIBE: Mapping[str, Callable[[Any], dict[str, float]]] = {
    "text": _of_text,
    "image": _of_image,
    "audio": _of_sound,
    "series": _of_series,
    "molecule": describe,
}


def _differing_columns(source: Any, target: Any) -> list[Any]:
    """Arrays ``[n, d]`` (dense or sparse) as frames of the 50 columns whose means differ most, in deviations."""
    import pandas as pd
    from scipy.sparse import issparse

    flat = (source, target)
    mean = [np.asarray(side.mean(axis=0)).ravel() for side in flat]
    square = [np.asarray((side.multiply(side) if issparse(side) else side**2).mean(axis=0)).ravel() for side in flat]
    spread = np.sqrt(np.maximum(square[0] - mean[0] ** 2 + square[1] - mean[1] ** 2, 1e-12))
    distance = np.nan_to_num(np.abs(mean[1] - mean[0]) / spread, nan=np.inf)  # missing values deserve a look
    best = np.argsort(-distance, kind="stable")[:COLUMNS]
    dense = [side[:, best].toarray() if issparse(side) else side[:, best] for side in flat]
    return [pd.DataFrame(values, columns=[f"column {k}" for k in best]) for values in dense]


def _shift(name: str, source: Any, target: Any) -> Shift | None:
    """How one column differs, None if by no more than chance."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    missing = [float(side.isna().mean()) for side in (source, target)]
    noise = 1 / len(source) + 1 / len(target)
    score, parts = 0.0, []
    if abs(missing[1] - missing[0]) > np.sqrt(np.log(2 / CHANCE) / 2 * noise):
        score = abs(missing[1] - missing[0])
        parts.append(f"missing in {missing[0]:.0%} of source and {missing[1]:.0%} of target rows")
    present = [side.dropna() for side in (source, target)]
    if all(len(side) for side in present):
        numeric = all(is_numeric_dtype(side) and not is_bool_dtype(side) for side in present)
        distance, more = (_numbers if numeric else _categories)(*present)
        score, parts = max(score, distance), parts + more
    return Shift(name, float(score), "; ".join(parts)) if parts else None


def _numbers(source: Any, target: Any) -> tuple[float, list[str]]:
    """Kolmogorov-Smirnov distance, and whether it looks like another unit."""
    from scipy.stats import ks_2samp

    old, new = source.to_numpy(dtype=float), target.to_numpy(dtype=float)
    distance = float(ks_2samp(old, new, method="asymp").statistic)
    if distance <= np.sqrt(np.log(2 / CHANCE) / 2 * (1 / len(old) + 1 / len(new))):
        return 0.0, []
    (low_old, mid_old, high_old), (low_new, mid_new, high_new) = (np.quantile(v, [0.25, 0.5, 0.75]) for v in (old, new))
    parts = [f"distance {distance:.2f}, median {mid_old:.4g} in the source and {mid_new:.4g} in the target"]
    if (unit := conversion(old, new)) is not None:
        return distance, [*parts, f"in another unit? It looks like the source's {unit.words}; nothing was converted"]
    if mid_old * mid_new > 0 and high_old > low_old and high_new > low_new:
        ratio, spread = mid_new / mid_old, (high_new - low_new) / (high_old - low_old)
        if max(ratio, 1 / ratio) >= 5 and 0.5 < ratio / spread < 2:
            parts.append(f"middle and spread are {ratio:.3g} times those of the source: another unit?")
    return (distance, parts) if parts else (0.0, [])


def _categories(source: Any, target: Any) -> tuple[float, list[str]]:
    """Total variation, and the categories that the source has never shown."""
    old, new = (side.astype(str).value_counts(normalize=True) for side in (source, target))
    names = old.index.union(new.index)
    change = new.reindex(names, fill_value=0.0) - old.reindex(names, fill_value=0.0)
    distance = float(change.abs().sum() / 2)
    noise = 1 / len(source) + 1 / len(target)
    parts: list[str] = []
    if distance > np.sqrt(len(names) * noise) / 2 + np.sqrt(np.log(1 / CHANCE) / 2 * noise):
        most = change.abs().idxmax()
        parts.append(
            f"distance {distance:.2f}, '{most}' is {old.get(most, 0.0):.0%} of the source "
            f"and {new.get(most, 0.0):.0%} of the target"
        )
    unseen = new[~new.index.isin(old.index)]
    if len(unseen) and (parts or len(names) < len(source) / 2):
        shown = ", ".join(f"'{name}'" for name in unseen.index[:3]) + (", ..." if len(unseen) > 3 else "")
        parts.append(f"unseen in the source: {shown} ({unseen.sum():.0%} of the target)")
    return (distance, parts) if parts else (0.0, [])
