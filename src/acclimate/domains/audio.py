"""Sound bytes to mono samples, and what is odd about sounds."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.errors import DataError, MissingAssetError

if TYPE_CHECKING:
    from acclimate.domains.domain import Domain

RATES = (1_000, 1_000_000)
"""Samples a second that a recorder can have: below no word is heard, and above no microphone hears anything."""
LONGEST = 120
"""Seconds of one row: a batch of such rows still fits into memory. A longer recording has to be cut first."""
LOOKED_AT, HEARD = 300, 600
"""Sounds of a domain in which oddities are looked for, and seconds of sound after which no more are."""
SILENT = 1e-4
"""Peak below which a sound is silent: 80 dB below full scale."""
CLIPPED = 0.001
"""Share of samples at full scale above which a sound is clipped."""
SHORT = 0.05
"""Seconds below which nothing can be told of what was said."""
ODD = {
    "silent": "silent (also a sound whose channels cancel each other)",
    "clipped": "clipped: recorded too loud, or scaled beyond full scale",
    "short": f"shorter than {SHORT} s",
}


@contextmanager
def _opened(data: bytes, where: str) -> Iterator[Any]:
    """The sound behind the bytes, its header checked; every fault of the file is a DataError."""
    try:
        import soundfile
    except (ImportError, OSError):
        raise MissingAssetError("sound files need the extra 'audio': pip install 'acclimate[audio]'") from None
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            _check(sound.frames, sound.samplerate, where)
            yield sound
    except DataError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        why = getattr(error, "error_string", str(error)).strip().rstrip(".")
        raise DataError(f"{where}: broken or truncated sound ({why})") from None


def _check(frames: int, rate: int, where: str) -> None:
    if not RATES[0] <= rate <= RATES[1]:
        raise DataError(
            f"{where}: its header says {rate:,} samples a second, which no recording has ({RATES[0]:,} to {RATES[1]:,} "
            "are read); write the file again with its true rate"
        )
    if frames < 1:
        raise DataError(f"{where}: the sound is empty")
    if frames > LONGEST * rate:
        raise DataError(
            f"{where}: the sound lasts {frames / rate:,.0f} s, and a row may last {LONGEST} s; cut it into pieces of "
            "one word or sentence each"
        )


def check_audio(data: bytes, where: str) -> None:
    """Read the header: is this a sound, with a rate that can be and a length that can be read?

    Raises:
        DataError: no sound, an impossible rate, empty, or longer than 2 minutes; names the file.
        MissingAssetError: the extra 'audio' is not installed.
    """
    with _opened(data, where):
        pass


def decode_audio(data: bytes, where: str) -> tuple[np.ndarray, int]:
    """Mono samples ``[n]`` float32, -1..1 where the file holds integers, and the rate in Hz.

    Channels, however many, are averaged.

    Raises:
        DataError: as `check_audio`; or the content is damaged, or holds samples that are no numbers.
        MissingAssetError: the extra 'audio' is not installed.
    """
    with _opened(data, where) as sound:
        rate, promised = int(sound.samplerate), int(sound.frames)
        samples = sound.read(dtype="float32", always_2d=True)
    if len(samples) < promised:
        raise DataError(f"{where}: truncated sound: {len(samples):,} of {promised:,} samples are there")
    if not np.isfinite(samples).all():
        raise DataError(f"{where}: the sound has samples that are no finite numbers")
    return samples.mean(axis=1), rate


def sample(domain: Domain, most: int = LOOKED_AT) -> Iterator[tuple[np.ndarray, int]]:
    """Sounds of a domain one by one, the same ones whatever their order, until enough seconds were heard."""
    heard = 0.0
    for row in domain.order[:most]:
        ((samples, rate),) = domain.rows.take(np.array([row]))
        yield samples, rate
        heard += len(samples) / rate
        if heard > HEARD:
            return


def remarks(domain: Domain) -> tuple[str, ...]:
    """What is odd among a `sample` of the sounds: silence, clipping, clips too short for a word, several rates."""
    counts, rates, looked = dict.fromkeys(ODD, 0), set(), 0
    for samples, rate in sample(domain):
        loud = np.abs(samples)
        counts["silent"] += float(loud.max()) < SILENT
        counts["clipped"] += float((loud >= 0.999).mean()) > CLIPPED
        counts["short"] += len(samples) < SHORT * rate
        rates.add(rate)
        looked += 1
    notes = [f"{domain.name}: {n} of {looked} sounds looked at are {ODD[what]}" for what, n in counts.items() if n]
    if len(rates) > 1:
        shown = ", ".join(f"{rate:,}" for rate in sorted(rates))
        notes.append(
            f"{domain.name}: sounds of several rates ({shown} Hz): what is above half of the lowest one is not in all"
        )
    return tuple(notes)
