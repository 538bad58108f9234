"""One explained row as a page shows it: words with shades, a heat map, bars of columns, a curve, a molecule."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from acclimate.runs.report.words import Words, number, sign
from acclimate.trust.explain.explain import Explanation

COLUMNS = 12
"""Bars that are drawn, those of the strongest columns."""
SIDE = 192
"""Of a picture, in pixels."""
FOR, AGAINST = (37, 99, 201), (194, 82, 12)
"""Colours of what speaks for and against an answer in pictures; the page has them as --source and --target."""
VALUE = 40
"""Characters of a cell."""


def row(each: Mapping[str, Any], found: Explanation, words: Words) -> dict[str, Any]:
    """A row for the template ``explained.html.j2``."""
    largest = float(np.abs(found.scores).max(initial=0.0)) or 1.0
    shares = found.scores / largest
    same = each["answer"] == each["prediction"]
    return {
        "form": found.parts.form,
        "title": each["file"] or words("explain.row", number=each["row"]),
        "answer": shown(each["answer"]),
        "said": "" if same else words("explain.said", answer=shown(each["prediction"])),
        "score": words("explain.score", score=number(each["score"]), blank=number(each["score_without_parts"])),
        **FORMS[found.parts.form](found, shares, words),
    }


def shown(answer: Any) -> str:
    """An answer as text."""
    text = number(answer) if isinstance(answer, float) else str(answer)
    return text if len(text) <= 4 * VALUE else f"{text[: 4 * VALUE]}…"


def _words(found: Explanation, shares: np.ndarray, words: Words) -> dict[str, Any]:
    """The text in pieces: each word with its shade, and what stands between."""
    text, pieces, at = found.parts.shown["text"], [], 0
    for (begin, end), share, score in zip(found.parts.places, shares, found.scores, strict=True):
        if begin > at:
            pieces.append({"text": text[at:begin], "side": ""})
        pieces.append({"text": text[begin:end], **_shade(share), "score": sign(float(score))})
        at = end
    return {"pieces": pieces}


def _shade(share: float) -> dict[str, Any]:
    return {"side": "for" if share >= 0 else "against", "strength": round(100 * abs(float(share)))}


def _columns(found: Explanation, shares: np.ndarray, words: Words) -> dict[str, Any]:
    order = np.argsort(-np.abs(shares), kind="stable")
    bars = [
        {
            "name": found.parts.names[k],
            "cell": _cell(found.parts.shown["cells"][k]),
            "score": sign(float(found.scores[k])),
            **_shade(shares[k]),
        }
        for k in order[:COLUMNS]
    ]
    rest = len(order) - len(bars)
    return {"bars": bars, "rest": words("explain.rest", n=rest) if rest else ""}


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.4g}"
    text = " ".join(str(value).split())
    return text if len(text) <= VALUE else f"{text[:VALUE]}…"


def _image(found: Explanation, shares: np.ndarray, words: Words) -> dict[str, Any]:
    """The image as the network sees it, and beside it the same in grey under the scores of its patches."""
    from PIL import Image

    pixels, grid = found.parts.shown["pixels"], found.parts.shown["grid"]
    plain = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    picture = Image.fromarray(np.ascontiguousarray(plain)).convert("RGB").resize((SIDE, SIDE))
    small = Image.fromarray(shares.reshape(grid, grid).astype(np.float32))
    heat = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR))[..., None]
    grey = np.asarray(picture.convert("L").convert("RGB")).astype(np.float32) * 0.6 + 255 * 0.4
    tint = np.where(heat >= 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    strength = np.minimum(np.abs(heat), 1.0) * 0.75
    mixed = Image.fromarray((grey * (1 - strength) + tint * strength).round().astype(np.uint8))
    best = found.parts.names[int(shares.argmax())]
    alts = words("explain.image"), words("explain.heat", best=best)
    return {"pictures": [{"uri": uri(each), "alt": alt} for each, alt in zip((picture, mixed), alts, strict=True)]}


def uri(picture: Any) -> str:
    """A picture as a JPEG in a data URI."""
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode("ascii")


FORMS: dict[str, Callable[[Explanation, np.ndarray, Words], dict[str, Any]]] = {
    "words": _words,
    "columns": _columns,
    "image": _image,
}
