"""One explained row as a page shows it: words with shades, a heat map, bars of columns, a curve, a molecule."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from acclimate.domains.canvas import boxes_onto
from acclimate.domains.domain import Shapes
from acclimate.domains.molecules import known
from acclimate.runs.report.drawn import objects, told
from acclimate.runs.report.shown import jpeg
from acclimate.runs.report.words import Words, number, sign
from acclimate.trust.explain.explain import Explanation

COLUMNS = 12
"""Bars that are drawn, those of the strongest columns."""
SIDE = 192
"""Of a picture, in pixels."""
BOX = (20, 120, 60)
"""Colour of the frames of boxes."""
FOR, AGAINST = (37, 99, 201), (194, 82, 12)
"""Colours of what speaks for and against an answer in pictures; the page has them as --source and --target."""
FIRST = 5
"""Names of a list that are shown."""
VALUE = 40
"""Characters of a cell."""
CHANNELS, POINTS = 8, 200
"""Of a series, and pieces of each of its curves."""
WIDE, TALL = 400.0, 60.0
"""Of a curve's drawing, in its own units."""
FAINT = 0.05
"""Share of the strongest score below which an atom has no disc."""


def row(each: Mapping[str, Any], found: Explanation, words: Words, shapes: Shapes = "") -> dict[str, Any]:
    """A row for the template ``explained.html.j2``; ``shapes`` says that answers are such, as text."""
    largest = float(np.abs(found.scores).max(initial=0.0)) or 1.0
    shares = found.scores / largest
    same = each["answer"] == each["prediction"]
    return {
        "form": found.parts.form,
        "title": titled(each, words("explain.row", number=each["row"])),
        "answer": shown(each["answer"], shapes),
        "said": "" if same else words("explain.said", answer=shown(each["prediction"], shapes)),
        "score": words("explain.score", score=number(each["score"]), blank=number(each["score_without_parts"])),
        **(_boxed if shapes == "boxes" else FORMS[found.parts.form])(found, shares, words),
    }


def titled(each: Mapping[str, Any], number: str = "") -> str:
    """What a row is called: its file, with the folder, which may be a class; user and item; else its number."""
    if each["file"]:
        return "/".join(each["file"].split("/")[-2:])
    return ", ".join(each["ids"] or ()) or number or str(each["row"])


def shown(answer: Any, shapes: Shapes = "") -> str:
    """An answer as text that a person can read."""
    if shapes:
        return told(str(answer), shapes)
    if listed := _listed(answer):
        return ", ".join(listed[:FIRST]) + (", …" if len(listed) > FIRST else "")
    text = number(answer) if isinstance(answer, float) else str(answer)
    return text if len(text) <= 4 * VALUE else f"{text[: 4 * VALUE]}…"


def _listed(answer: Any) -> list[str]:
    """The names of a ranking."""
    try:
        found = json.loads(answer) if isinstance(answer, str) and answer.startswith('["') else []
    except ValueError:
        return []
    return [str(name) for name in found]


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


def _image(
    found: Explanation, shares: np.ndarray, words: Words, boxes: np.ndarray | Sequence[Any] = ()
) -> dict[str, Any]:
    """The image as the network sees it, and beside it the same in grey under the scores of its patches."""
    from PIL import Image

    pixels, grid = found.parts.shown["pixels"], found.parts.shown["grid"]
    plain = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    picture = Image.fromarray(np.ascontiguousarray(plain)).convert("RGB").resize((SIDE, SIDE))
    return _pair(picture, shares.reshape(grid, grid), words("explain.image"), found, words, boxes)


def _boxed(found: Explanation, shares: np.ndarray, words: Words) -> dict[str, Any]:
    """The same with the boxes of the answer on both."""
    side = found.parts.shown["pixels"].shape[0]
    corners = boxes_onto(objects(str(found.answer))[1], found.parts.shown["frame"], side) * SIDE / side
    return _image(found, shares, words, corners)


def _spectrogram(found: Explanation, shares: np.ndarray, words: Words) -> dict[str, Any]:
    """The spectrogram, low bands below, and beside it the same under the scores of its parts."""
    from PIL import Image

    values = found.parts.shown["picture"]
    low, high = (float(each) for each in np.quantile(values, (0.02, 0.99)))
    grey = np.clip((values - low) / ((high - low) or 1.0), 0, 1)[::-1]
    picture = Image.fromarray((255 * (1 - grey)).round().astype(np.uint8)).convert("RGB").resize((SIDE, SIDE // 2))
    grid = shares.reshape(found.parts.shown["grid"])[::-1]
    return _pair(picture, grid, words("explain.spectrogram"), found, words)


def _pair(
    picture: Any, grid: np.ndarray, alt: str, found: Explanation, words: Words, boxes: np.ndarray | Sequence[Any] = ()
) -> dict[str, Any]:
    """A picture, and the same in grey under shares ``[rows, columns]``, both with these boxes."""
    from PIL import Image, ImageDraw

    size = picture.size
    heat = np.asarray(Image.fromarray(grid.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))[..., None]
    grey = np.asarray(picture.convert("L").convert("RGB")).astype(np.float32) * 0.6 + 255 * 0.4
    tint = np.where(heat >= 0, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    strength = np.minimum(np.abs(heat), 1.0) * 0.75
    mixed = Image.fromarray((grey * (1 - strength) + tint * strength).round().astype(np.uint8))
    for canvas in (picture, mixed):
        for box in boxes:
            ImageDraw.Draw(canvas).rectangle(tuple(map(float, box)), outline=BOX, width=2)
    alts = alt, words("explain.heat", best=found.parts.names[int(found.scores.argmax())])
    width, height = size
    shown = [{"uri": jpeg(each)["uri"], "alt": said} for each, said in zip((picture, mixed), alts, strict=True)]
    return {"pictures": shown, "width": width, "height": height}


def _curves(found: Explanation, shares: np.ndarray, words: Words) -> dict[str, Any]:
    """A curve for each of the first channels, with a shade behind each stretch."""
    curves = []
    for channel, values in enumerate(found.parts.shown["curves"][:CHANNELS]):
        spans = [
            {"x": round(WIDE * begin, 2), "width": round(WIDE * (end - begin), 2), **_shade(share)}
            for (of, begin, end), share in zip(found.parts.shown["spans"], shares, strict=True)
            if of == channel
        ]
        curves.append({"path": _line(np.asarray(values, dtype=float)), "spans": spans})
    rest = len(found.parts.shown["curves"]) - len(curves)
    best = found.parts.names[int(found.scores.argmax())]
    return {
        "curves": curves,
        "alt": words("explain.curve", best=best),
        "rest": words("explain.channels", n=rest) if rest else "",
    }


def _line(values: np.ndarray) -> str:
    """A path in a box of `WIDE` by `TALL`: of many values the lowest and highest of each piece."""
    pieces = np.array_split(values, min(POINTS, len(values)))
    points = [each for piece in pieces for each in dict.fromkeys((float(piece.min()), float(piece.max())))]
    low, high = min(points), max(points)
    x = np.linspace(0, WIDE, len(points))
    y = TALL - 2 - (np.array(points) - low) / ((high - low) or 1.0) * (TALL - 4)
    return "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _molecule(found: Explanation, shares: np.ndarray, words: Words) -> dict[str, Any]:
    """The molecule as RDKit draws it, each atom on a disc of its colour."""
    from rdkit.Chem.Draw import rdMolDraw2D

    shown = found.parts.shown
    drawer = rdMolDraw2D.MolDraw2DSVG(2 * SIDE, int(1.4 * SIDE))
    options: Any = drawer.drawOptions()
    options.clearBackground = False
    options.useBWAtomPalette()
    colours = {
        k: tuple((255 - abs(share) * (255 - value)) / 255 for value in (FOR if share >= 0 else AGAINST))
        for k, share in enumerate(shares.astype(float))
        if abs(share) >= FAINT
    }
    drawer.DrawMolecule(
        known(shown["smiles"], shown["fragment"]), highlightAtoms=list(colours), highlightAtomColors=colours,
        highlightBonds=[],
    )  # fmt: skip
    drawer.FinishDrawing()
    text = drawer.GetDrawingText()
    text = re.sub(r"<!--.*?-->|<\?xml.*?\?>|<rdkit.*?/rdkit:mol>|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    best = found.parts.names[int(found.scores.argmax())]
    return {"svg": text[text.index("<svg") :], "alt": words("explain.molecule", best=best)}


FORMS: dict[str, Callable[[Explanation, np.ndarray, Words], dict[str, Any]]] = {
    "words": _words,
    "sentences": _words,
    "columns": _columns,
    "interactions": _columns,
    "image": _image,
    "spectrogram": _spectrogram,
    "curves": _curves,
    "molecule": _molecule,
}
