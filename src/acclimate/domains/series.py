"""Series as rows: windows of several channels, cut out of recordings that no split tears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from acclimate.domains.domain import Schema, Windows
from acclimate.domains.labels import ABSURD, row_name
from acclimate.domains.locator import Locator
from acclimate.errors import DataError, SettingsError

KEYS = ("window", "stride", "time", "take")
"""Keys of a locator that say how series are cut."""
USUAL = 30
"""Steps of a window of a long table, unless the locator says: what turbofan studies take."""
STEPS_LEFT = "steps_left"
"""As a label: how many steps of its recording follow a window. The remaining life, of what ran until it failed."""
UNEQUAL = "Of unequal length: pad them with NaN to one length, or give a CSV with a row for each step and --group"


@dataclass(frozen=True)
class Cut:
    """Where windows are in steps that stand one after the other, recording after recording.

    Attributes:
        begins: ``[n]``, first step of the recording of each window.
        ends: ``[n]``, last step of each window.
        left: ``[n]``, steps of the recording after each window.
        owner: ``[n]``, number of the recording.
        short: how many recordings are shorter than a window.
    """

    begins: np.ndarray
    ends: np.ndarray
    left: np.ndarray
    owner: np.ndarray
    short: int


@dataclass(frozen=True)
class SeriesRows:
    """Windows of recordings, cut when asked for.

    Attributes:
        values: ``[steps, channels]`` float32 of all recordings, one after the other.
        cut: where the windows are.
        length: steps of a window; what a short recording lacks at its start is its first step, repeated.
    """

    values: np.ndarray
    cut: Cut
    length: int

    def __len__(self) -> int:
        return len(self.cut.ends)

    def place(self, index: int) -> str:
        return f"window {index + 1}"

    def take(self, index: np.ndarray) -> np.ndarray:
        index = np.asarray(index, dtype=np.intp)
        steps = self.cut.ends[index][:, None] + np.arange(1 - self.length, 1)
        taken = self.values[np.maximum(steps, self.cut.begins[index][:, None])]
        return np.ascontiguousarray(taken.transpose(0, 2, 1))


def asked_windows(locator: Locator | None, like: Schema | None, recording: str | None) -> tuple[Windows, bool]:
    """How to cut, and whether only the last window of each recording is wanted; ``length`` 0 leaves it open.

    What the locator leaves open is as in ``like``.

    Raises:
        SettingsError: no whole positive number, or another ``take``.
    """
    known = (None if like is None else like.windows) or Windows(0, 0)
    own = recording or known.recording
    if locator is None:
        return replace(known, recording=own), False
    length, stride = (_whole(locator, key) for key in ("window", "stride"))
    take = locator.one("take")
    if take not in (None, "last"):
        raise SettingsError(f"{locator}: take={take}; only take=last is known: the last window of each recording")
    found = Windows(length or known.length, stride or known.stride, own, locator.one("time") or known.time)
    return found, take == "last"


def _whole(locator: Locator, key: str) -> int:
    text = locator.one(key)
    if text is None:
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{locator}: {key}={text}; expected a number of steps")
    return int(text)


def cut(sizes: Sequence[int], windows: Windows, last: bool = False) -> Cut:
    """Windows of recordings of so many steps, each recording's last step being the end of its last window.

    Of a recording that is shorter than a window there is one, of all its steps.
    """
    starts = np.cumsum([0, *sizes])
    begins, ends, owner = [], [], []
    for k, (start, size) in enumerate(zip(starts[:-1], sizes, strict=True)):
        stops = np.arange(size - 1, min(windows.length, size) - 2, -windows.stride)[::-1]
        stops = stops[-1:] if last else stops
        ends.append(start + stops)
        begins.append(np.full(len(stops), start))
        owner.append(np.full(len(stops), k))
    end, whose = np.concatenate(ends), np.concatenate(owner)
    short = sum(size < windows.length for size in sizes)
    return Cut(np.concatenate(begins), end, starts[1:][whose] - 1 - end, whose, short)


def bridged(values: np.ndarray, sizes: Sequence[int]) -> tuple[np.ndarray, int]:
    """Steps ``[steps, channels]`` without gaps, and how many values were missing.

    Missing values lie on the straight line between those before and after in their recording; before the first and
    after the last they are that one. A channel of which a recording has nothing stays NaN.
    """
    missing = np.isnan(values)
    if not missing.any():
        return values, 0
    filled, count, start = values.copy(), 0, 0
    for size in sizes:
        part = slice(start, start + size)
        for channel in np.flatnonzero(missing[part].any(axis=0)):
            gaps, steps = missing[part, channel], np.arange(size)
            if gaps.all():
                continue
            filled[part, channel][gaps] = np.interp(steps[gaps], steps[~gaps], values[part, channel][~gaps])
            count += int(gaps.sum())
        start += size
    return filled, count


def remarks(rows: SeriesRows, names: Sequence[str], bridged: int, teaches: bool) -> tuple[str, ...]:
    """What is odd about series, a sentence each: short recordings, gaps, channels that are constant or blank.

    Args:
        rows: all windows.
        names: of the channels.
        bridged: how many missing values were filled.
        teaches: whether channels are learned from here; elsewhere the source says what they are.
    """
    notes, recordings = [], len(np.unique(rows.cut.owner))
    if rows.cut.short:
        notes.append(
            f"{rows.cut.short} of {recordings} recordings are shorter than a window ({rows.length} steps): their first "
            "step is repeated before them"
        )
    if bridged:
        notes.append(f"{bridged:,} missing values lie on the straight line between their neighbours in the recording")
    known = ~np.isnan(rows.values)
    there = known.any(axis=0)
    blank = [name for name, some in zip(names, there, strict=True) if not some]
    if blank:
        told = "nothing is learned from it" if teaches else "read as the source's mean"
        notes.append(f"blank in every step: {', '.join(blank)}; {told}")
    partly = [name for k, name in enumerate(names) if there[k] and not known[:, k].all()]
    if partly:
        notes.append(f"blank in every step of some recordings: {', '.join(partly)}; read there as the source's mean")
    still = [name for k, name in enumerate(names) if there[k] and _constant(rows.values[known[:, k], k])]
    if still:
        notes.append(f"constant{', so that nothing is learned from it' if teaches else ''}: {', '.join(still)}")
    return tuple(notes)


def _constant(values: np.ndarray) -> bool:
    return bool(values.min() == values.max())


def stacked(values: np.ndarray, where: str, numbers: np.ndarray | None = None) -> np.ndarray:
    """An array of series as ``[n, channels, length]`` float32; ``numbers`` of its rows in the file, for messages.

    Raises:
        DataError: of another shape, no numbers, or some that are infinite or beyond 1e30.
    """
    if values.dtype.kind not in "biuf" or values.ndim not in (2, 3) or not values.size:
        shape = "x".join(map(str, values.shape))
        raise DataError(
            f"{where}: an array of {shape} {values.dtype}; series are numbers [n, length] or [n, channels, length]. "
            f"{UNEQUAL}"
        )
    raw = values[:, None, :] if values.ndim == 2 else values
    with np.errstate(over="ignore"):
        found = raw.astype(np.float32)
    bad = np.abs(found) > ABSURD
    if bad.any():
        row, channel, step = np.argwhere(bad)[0]
        place = row_name(row if numbers is None else numbers[row])
        raise DataError(
            f"{where}: {place} holds {raw[row, channel, step]} in channel {channel + 1}, step {step + 1}; series are "
            f"finite numbers up to {ABSURD:g}, and NaN where one is missing"
        )
    return found


def of_stack(values: np.ndarray, windows: Windows, last: bool) -> tuple[SeriesRows, Windows, int]:
    """Windows of series ``[n, channels, length]``, how they were cut, and how many values were missing.

    Unless the windows have a length, they are the series as they are.
    """
    n, channels, steps = values.shape
    length = windows.length or steps
    found = replace(windows, length=length, stride=windows.stride or length)
    sizes = [steps] * n
    flat, gaps = bridged(values.transpose(0, 2, 1).reshape(n * steps, channels), sizes)
    return SeriesRows(flat, cut(sizes, found, last), length), found, gaps
