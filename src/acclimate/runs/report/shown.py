"""A row of a domain as a page can show it: a text, a small picture, named values, or curves."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.domains.rows import name_of

if TYPE_CHECKING:
    from PIL import Image

CHARACTERS = 400
SIDE = 144
"""Longest side of a picture, in pixels."""
COLUMNS = 8
VALUE = 60
"""Characters of a value in a table."""
POINTS = 160
"""Of a curve."""
CHANNELS = 3


def show(domain: Domain, rows: Sequence[int], first: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows as JSON values: ``kind`` is text, image, values or curves.

    Args:
        domain: rows of any modality.
        rows: which ones.
        first: columns of a table that are shown before others.
    """
    if not len(rows):
        return []
    raw = domain.rows.take(np.asarray(rows))
    modality = domain.schema.modality
    if modality in ("table", "pairs", "users"):
        named = [name for name in first if name in raw] + [name for name in raw if name not in first]
        visible = [name for name in named if not str(name).startswith("(")]
        found = [_values([(name, raw[name].iloc[k]) for name in visible]) for k in range(len(rows))]
    elif modality == "array":
        flat = raw.toarray() if hasattr(raw, "toarray") else np.asarray(raw).reshape(len(rows), -1)
        names = domain.schema.inputs if len(domain.schema.inputs) == flat.shape[1] else range(1, flat.shape[1] + 1)
        found = [_values(list(zip(names, row, strict=True))) for row in flat]
    else:
        found = [ONE[modality](value) for value in raw]
    return [{"file": name_of(domain.rows, int(row)), **each} for row, each in zip(rows, found, strict=True)]


def _text(text: Any) -> dict[str, Any]:
    words = " ".join(str(text).split())
    return {"kind": "text", "text": words if len(words) <= CHARACTERS else f"{words[:CHARACTERS]}…"}


def _image(pixels: np.ndarray) -> dict[str, Any]:
    """An image, by `small` and `jpeg`."""
    from PIL import Image

    values = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    picture = Image.fromarray(np.ascontiguousarray(values[..., :3] if values.ndim == 3 else values))
    height, width = values.shape[:2]
    return {"kind": "image", **jpeg(small(picture, SIDE)), "of": [width, height]}


def small(picture: Image.Image, side: int) -> Image.Image:
    """A picture of at most this side; tiny ones are enlarged by whole steps, so that their pixels stay visible."""
    from PIL.Image import Resampling

    found = picture.copy()
    found.thumbnail((side, side))
    factor = side // 2 // max(found.size)
    return found if factor < 2 else found.resize((found.width * factor, found.height * factor), Resampling.NEAREST)


def jpeg(picture: Image.Image) -> dict[str, Any]:
    """A picture as a data URI, with its size."""
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=82)
    uri = "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode("ascii")
    return {"uri": uri, "width": picture.width, "height": picture.height}


def _values(pairs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    told = [[str(name), _value(value)] for name, value in pairs[:COLUMNS]]
    return {"kind": "values", "values": told, "more": max(0, len(pairs) - COLUMNS)}


def _value(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.4g}"
    text = " ".join(str(value).split())
    return text if len(text) <= VALUE else f"{text[:VALUE]}…"


def _sound(sound: tuple[np.ndarray, int]) -> dict[str, Any]:
    """The envelope of the samples: lowest and highest of each stretch, in shares of the loudest."""
    samples, rate = sound
    mono = np.asarray(samples, dtype=float).reshape(len(samples), -1).mean(axis=1)
    loudest = float(np.abs(mono).max(initial=0.0)) or 1.0
    parts = [part for part in np.array_split(mono / loudest, min(POINTS, max(1, len(mono)))) if len(part)]
    curve = [[round(float(part.min()), 3), round(float(part.max()), 3)] for part in parts]
    return {"kind": "curves", "form": "envelope", "curves": [curve], "seconds": round(len(mono) / rate, 2)}


def _series(window: np.ndarray) -> dict[str, Any]:
    """The first channels, each spread over its own range; what is missing is null."""
    curves = []
    for channel in np.atleast_2d(window)[:CHANNELS].astype(float):
        seen = channel[np.linspace(0, len(channel) - 1, min(POINTS, len(channel))).astype(int)]
        there = np.isfinite(seen)
        low, high = (float(seen[there].min()), float(seen[there].max())) if there.any() else (0.0, 1.0)
        spread = (high - low) or 1.0
        curves.append([round((v - low) / spread * 2 - 1, 3) if ok else None for v, ok in zip(seen, there, strict=True)])
    return {"kind": "curves", "form": "lines", "curves": curves, "channels": len(np.atleast_2d(window))}


ONE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "text": _text,
    "molecule": _text,
    "image": _image,
    "audio": _sound,
    "series": _series,
}
