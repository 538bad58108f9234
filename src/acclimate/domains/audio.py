"""Sound bytes to mono samples."""

from __future__ import annotations

import io

import numpy as np

from acclimate.errors import DataError, MissingAssetError


def decode_audio(data: bytes, where: str) -> tuple[np.ndarray, int]:
    """Mono samples ``[n]`` float32 in -1..1, and the rate in Hz; channels are averaged.

    Raises:
        DataError: broken or empty file; names it.
        MissingAssetError: the extra 'audio' is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError):
        raise MissingAssetError("sound files need the extra 'audio': pip install 'acclimate[audio]'") from None
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"{where}: broken or truncated sound ({error})") from None
    if not len(samples):
        raise DataError(f"{where}: the sound is empty")
    return samples.mean(axis=1), int(rate)
