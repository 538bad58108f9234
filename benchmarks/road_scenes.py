"""Rendered street scenes with masks, boxes and depth, by day, in fog and at night: a shift whose labels cost nothing.

A pinhole camera 1.5 m above a flat street looks along it. Houses, trees, cars and people stand on the ground and are
drawn from far to near, so that what hides what is right, and each pixel knows its class and its depth. Fog is
Koschmieder's law, ``I = J t + A (1 - t)`` with ``t = exp(-beta depth)``, as in Foggy Cityscapes (Sakaridis et al., IJCV
2018, eq. 1); at night there is little blue light, that of the own headlamps, which falls with the square of distance,
lit windows and rear lights, and the noise of few photons. The same seed gives the same street in every weather.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from acclimate.seeds import generator

CLASSES = ("road", "sidewalk", "vegetation", "building", "sky", "car", "person")
ROAD, SIDEWALK, VEGETATION, BUILDING, SKY, CAR, PERSON = range(len(CLASSES))
WIDTH, HEIGHT = 192, 128
FOCAL = 150.0
EYE = 1.5
FAR = 400.0
FEWEST = 24
"""Pixels of a car or person that must be seen for a box."""
Weather = Literal["clear", "fog", "night"]


@dataclass(frozen=True)
class Scene:
    """A view of a street.

    Attributes:
        image: ``[h, w, 3]`` uint8.
        mask: ``[h, w]`` uint8, an index of `CLASSES`.
        boxes: class, left, top, right, bottom of what is seen of each car and person, in pixels.
    """

    image: np.ndarray
    mask: np.ndarray
    boxes: tuple[tuple[str, int, int, int, int], ...]


class Canvas:
    """What has been drawn so far: colour, class, depth, the thing that each pixel is of, and what glows."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.horizon = HEIGHT * rng.uniform(0.36, 0.46)
        self.bend = rng.uniform(-0.004, 0.004)
        self.y, self.x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
        self.colour = np.zeros((HEIGHT, WIDTH, 3))
        self.mask = np.full((HEIGHT, WIDTH), SKY, np.uint8)
        self.depth = np.full((HEIGHT, WIDTH), FAR)
        self.thing = np.zeros((HEIGHT, WIDTH), int)
        self.glow = np.zeros((HEIGHT, WIDTH, 3))
        self.things: list[int] = [SKY]

    def place(self, side: float, far: float) -> tuple[float, float, float]:
        """Column and row of a point on the ground, ``side`` m right of the middle of the road, and pixels a metre."""
        scale = FOCAL / far
        return WIDTH / 2 + (side + self.bend * far * far) * scale, self.horizon + EYE * scale, scale

    def fill(self, where: np.ndarray, colour: np.ndarray, rough: float = 0.03) -> None:
        """Colour pixels, with some grain."""
        grain = self.rng.normal(0, rough, (int(where.sum()), 1))
        self.colour[where] = np.clip(colour + grain, 0, 1)
        self.glow[where] = 0

    def stand(self, kind: int, where: np.ndarray, far: float) -> None:
        """Say what pixels are of now."""
        self.mask[where], self.depth[where] = kind, far
        self.thing[where] = len(self.things)
        self.things.append(kind)


def render(seed: int, weather: Weather = "clear") -> Scene:
    """The street of a seed in this weather."""
    canvas = Canvas(generator(seed, "street"))
    _ground(canvas)
    rng = canvas.rng
    standing = [(far, _house, side) for side in (-1.0, 1.0) for far in np.arange(12, 110, 11) + rng.uniform(-3, 3)]
    standing += [(far, _tree, side) for side in (-1.0, 1.0) for far in rng.uniform(8, 90, rng.integers(2, 7))]
    standing += [(far, _car, side) for side in (-1.0, 1.0) for far in rng.uniform(7, 55, rng.integers(1, 4))]
    standing += [(far, _person, side) for side in (-1.0, 1.0) for far in rng.uniform(6, 30, rng.integers(1, 4))]
    for far, draw, side in sorted(standing, key=lambda each: -each[0]):
        draw(canvas, side, float(far))
    return Scene(_seen(canvas, weather, generator(seed, "weather", weather)), canvas.mask, _boxes(canvas))


def write(folder: Path, seeds: range, weather: Weather) -> Path:
    """Scenes as ``images/``, ``masks/`` with their legend (an index of `CLASSES` a pixel) and ``annotations.json``."""
    told = {}
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        scene, name = render(seed, weather), f"{seed:05d}.png"
        Image.fromarray(scene.image).save(folder / "images" / name)
        Image.fromarray(scene.mask).save(folder / "masks" / name)
        told[name] = {"boxes": [list(box) for box in scene.boxes]}
    legend = {str(number): name for number, name in enumerate(CLASSES)}
    (folder / "masks" / "legend.json").write_text(json.dumps(legend), encoding="utf-8")
    (folder / "annotations.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def _ground(canvas: Canvas) -> None:
    rng, below = canvas.rng, canvas.y > canvas.horizon + 0.4
    high = np.clip(canvas.y / canvas.horizon, 0, 1)[..., None]
    top, low = np.array([0.35, 0.55, 0.85]) + rng.uniform(-0.1, 0.1), np.array([0.8, 0.87, 0.93])
    canvas.fill(~below, (top * (1 - high) + low * high)[~below], 0.01)
    far = np.where(below, FOCAL * EYE / np.maximum(canvas.y - canvas.horizon, 0.4), FAR)
    side = (canvas.x - WIDTH / 2) * far / FOCAL - canvas.bend * far * far
    canvas.depth = np.where(below, far, FAR)
    half = rng.uniform(3.3, 4.2)
    road, walk = below & (np.abs(side) < half), below & (np.abs(side) >= half) & (np.abs(side) < half + 2.4)
    grass = below & ~road & ~walk
    grey = rng.uniform(0.28, 0.42)
    canvas.fill(grass, np.array([0.3, 0.45, 0.2]) + rng.uniform(-0.06, 0.06, 3), 0.06)
    canvas.fill(walk, np.full(3, grey + 0.22) + rng.uniform(-0.03, 0.03, 3))
    canvas.fill(road, np.full(3, grey))
    marks = road & (np.abs(side) < 0.1) & ((far + rng.uniform(0, 6)) % 6 < 3)
    marks |= road & (np.abs(np.abs(side) - half + 0.25) < 0.07)
    canvas.fill(marks, np.full(3, 0.9))
    canvas.mask[grass], canvas.mask[walk], canvas.mask[road] = VEGETATION, SIDEWALK, ROAD


def _box(canvas: Canvas, side: float, far: float, wide: float, high: float, up: float = 0.0) -> np.ndarray:
    """Pixels of an upright rectangle ``wide`` and ``high`` metres, its foot ``up`` m above the ground."""
    column, row, scale = canvas.place(side, far)
    across = np.abs(canvas.x - column) < wide * scale / 2
    return across & (canvas.y < row - up * scale) & (canvas.y > row - (up + high) * scale)


def _round(canvas: Canvas, side: float, far: float, wide: float, high: float, up: float) -> np.ndarray:
    """Pixels of an ellipse whose lowest point is ``up`` m above the ground."""
    column, row, scale = canvas.place(side, far)
    across = (canvas.x - column) / (wide * scale / 2)
    return across**2 + ((canvas.y - row + (up + high / 2) * scale) / (high * scale / 2)) ** 2 < 1


def _house(canvas: Canvas, side: float, far: float) -> None:
    rng = canvas.rng
    wide, high, out = rng.uniform(7, 10), rng.uniform(5, 14), side * rng.uniform(11, 14)
    where = _box(canvas, out, far, wide, high)
    canvas.fill(where, rng.uniform(0.35, 0.8) * np.array([1.0, rng.uniform(0.8, 1.0), rng.uniform(0.65, 0.95)]))
    for floor in np.arange(1.0, high - 1.2, 2.6):
        for shift in np.arange(-wide / 2 + 1.2, wide / 2 - 0.8, 2.0):
            window = _box(canvas, out + shift, far, 1.0, 1.3, floor) & where
            canvas.fill(window, np.array([0.2, 0.25, 0.32]))
            canvas.glow[window] = np.array([1.0, 0.8, 0.4]) * (rng.random() < 0.35)
    canvas.stand(BUILDING, where, far)


def _tree(canvas: Canvas, side: float, far: float) -> None:
    rng = canvas.rng
    out, high = side * rng.uniform(6.5, 8.5), rng.uniform(3.5, 6.5)
    trunk, crown = _box(canvas, out, far, 0.35, high * 0.5), np.zeros_like(canvas.mask, bool)
    for _ in range(5):
        wide = rng.uniform(1.4, 2.6)
        crown |= _round(canvas, out + rng.uniform(-0.8, 0.8), far, wide, wide, high * rng.uniform(0.35, 0.75))
    canvas.fill(trunk, np.array([0.3, 0.22, 0.15]))
    canvas.fill(crown, np.array([0.15, 0.35, 0.12]) * rng.uniform(0.8, 1.5), 0.07)
    canvas.stand(VEGETATION, trunk | crown, far)


def _car(canvas: Canvas, side: float, far: float) -> None:
    rng = canvas.rng
    out, wide, high = side * rng.uniform(1.6, 2.1), rng.uniform(1.7, 2.0), rng.uniform(1.35, 1.8)
    paint = rng.uniform(0.08, 0.95, 3) * rng.uniform(0.6, 1.0)
    wheels = _box(canvas, out - wide * 0.36, far, 0.3, 0.5) | _box(canvas, out + wide * 0.36, far, 0.3, 0.5)
    body, cabin = (
        _box(canvas, out, far, wide, high * 0.55, 0.28),
        _box(canvas, out, far, wide * 0.78, high - 0.28, 0.28),
    )
    canvas.fill(wheels, np.full(3, 0.06))
    canvas.fill(cabin, paint)
    canvas.fill(_box(canvas, out, far, wide * 0.66, high * 0.28, high * 0.62), np.array([0.15, 0.2, 0.25]))
    canvas.fill(body, paint * 0.92)
    tail = side > 0
    for place in (-0.38, 0.38):
        lamp = _box(canvas, out + place * wide, far, 0.26, 0.2, high * 0.42)
        canvas.fill(lamp, np.array([0.75, 0.1, 0.08]) if tail else np.array([0.9, 0.9, 0.8]))
        canvas.glow[lamp] = np.array([1.0, 0.15, 0.1]) if tail else np.array([1.0, 0.95, 0.8])
    canvas.stand(CAR, wheels | body | cabin, far)


def _person(canvas: Canvas, side: float, far: float) -> None:
    rng = canvas.rng
    out, high = side * rng.uniform(4.2, 6.2), rng.uniform(1.5, 1.9)
    legs, trunk = _box(canvas, out, far, 0.34, high * 0.5), _round(canvas, out, far, 0.58, high * 0.5, high * 0.38)
    head = _round(canvas, out, far, 0.26, 0.28, high - 0.28)
    canvas.fill(legs, rng.uniform(0.05, 0.4, 3))
    canvas.fill(trunk, rng.uniform(0.1, 0.9, 3))
    canvas.fill(head, np.array([0.75, 0.58, 0.45]) * rng.uniform(0.5, 1.1))
    canvas.stand(PERSON, legs | trunk | head, far)


def _seen(canvas: Canvas, weather: Weather, rng: np.random.Generator) -> np.ndarray:
    """The image that a camera takes in this weather, uint8."""
    light, depth = canvas.colour, canvas.depth[..., None]
    if weather == "fog":
        passed = np.exp(-rng.uniform(0.03, 0.06) * depth)
        light = gaussian_filter(light * passed + rng.uniform(0.72, 0.85) * (1 - passed), (0.5, 0.5, 0))
    elif weather == "night":
        ahead = np.exp(-(((canvas.x - WIDTH / 2) / (0.33 * WIDTH)) ** 2))[..., None]
        lamps = rng.uniform(0.5, 0.9) * ahead * np.minimum(1.0, (12.0 / depth) ** 2)
        dark = rng.uniform(0.06, 0.14) * np.array([0.7, 0.8, 1.2])
        halo = gaussian_filter(canvas.glow, (1.5, 1.5, 0))
        light = np.maximum(light * (dark + lamps), canvas.glow * 0.9) + 0.8 * halo
        light = light + rng.normal(0, 0.02, light.shape)
    light = light + rng.normal(0, 0.008, light.shape)
    return (np.clip(light, 0, 1) * 255).round().astype(np.uint8)


def _boxes(canvas: Canvas) -> tuple[tuple[str, int, int, int, int], ...]:
    found = []
    for number, kind in enumerate(canvas.things):
        rows, columns = np.nonzero(canvas.thing == number)
        if kind in (CAR, PERSON) and len(rows) >= FEWEST:
            edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            found.append((CLASSES[kind], *map(int, edges)))
    return tuple(found)
