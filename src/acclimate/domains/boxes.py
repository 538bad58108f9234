"""Boxes as text, and the files that list them: COCO, Pascal VOC, Cityscapes' polygons, and ``annotations.json``.

A label is the JSON ``[{"box": [x1, y1, x2, y2], "label": "RBC"}, ...]``, in pixels of the image, right and lower border
exclusive; ``[]`` for an image without objects. Answers also have a ``score`` each, 0 to 1. A box whose label is empty,
which only self-training writes, is not known: it teaches neither that something is there nor that nothing is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from posixpath import commonpath
from typing import Any

import numpy as np

from acclimate.domains import images
from acclimate.domains.filesets import FileSet
from acclimate.domains.layouts import stem
from acclimate.domains.rows import decode_text
from acclimate.errors import DataError

BYTES = 1 << 30
"""A larger file of annotations is refused."""
POLYGONS = "_gtFine_polygons.json"
OBJECTS = frozenset({"person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"})
"""What of Cityscapes' polygons are objects and not ground, sky or the like: the classes that have instances."""

Found = tuple[str, Sequence[float]]
"""What an object is, and x1, y1, x2, y2."""


@dataclass
class Entry:
    """What one file says of an image: its boxes, and fields such as its split."""

    boxes: list[Found] = field(default_factory=list)
    fields: dict[str, object] = field(default_factory=dict)


@dataclass
class Listed:
    """What files of annotations say: by image (its `stem`), then by file."""

    where: str
    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)

    def entry(self, name: str, file: str) -> Entry:
        """What a file says of an image, empty at first."""
        return self.entries.setdefault(stem(name), {}).setdefault(file, Entry())

    def of(self, name: str) -> Entry | None:
        """What is said of an image, by the file that shares most folders with it; None where none lists it.

        Raises:
            DataError: two files do, equally near.
        """
        near: dict[int, list[str]] = {}
        for file in self.entries.get(stem(name), {}):
            near.setdefault(len(commonpath([f"/{name}", f"/{file}"])), []).append(file)
        if not near:
            return None
        first, *others = near[max(near)]
        if others:
            raise DataError(f"{self.where}/{name}: listed in {first} and in {others[0]}; keep one of them")
        return self.entries[stem(name)][first]

    @property
    def fields(self) -> list[str]:
        """The fields that some entries have."""
        every = (entry.fields for entries in self.entries.values() for entry in entries.values())
        return list(dict.fromkeys(name for fields in every for name in fields))


def listed(files: FileSet, names: Sequence[str]) -> Listed:
    """What all files of annotations among the names say.

    Raises:
        DataError: a file that is broken; names it.
    """
    found = Listed(files.where)
    for name in names:
        where = f"{files.where}/{name}"
        if name.endswith(POLYGONS):
            _polygons(found, name, _json(files, name, where))
        elif name.endswith(".json"):
            _annotations(found, name, _json(files, name, where), where)
        elif name.endswith(".xml"):
            _voc(found, name, files.read(name), where)
    return found


def read_boxes(files: FileSet, found: Listed, names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The boxes of images as labels ``[n]``, and remarks.

    What reaches over the image's border is cut off at it. Boxes of which nothing is left (real data sets have some of
    no area) are left out, with a remark.

    Raises:
        DataError: an image that nothing lists, or a box that is no box.
    """
    labels, lost = np.empty(len(names), dtype=object), []
    for row, name in enumerate(names):
        where = f"{files.where}/{name}"
        if (entry := found.of(name)) is None:
            raise DataError(
                f"{where}: no boxes are listed for it in annotations.json, a COCO JSON or Annotations/*.xml; an image "
                "without objects has an empty list"
            )
        size = images.size_of(files.read(name), where)
        kept = [(label, cut) for label, box in entry.boxes if (cut := inside(box, size, where)) is not None]
        lost += [name] * (len(entry.boxes) - len(kept))
        labels[row] = to_text(kept)
    remark = f"{len(lost)} boxes without area inside their image are left out (the first in {lost[0]})" if lost else ""
    return labels, (remark,) if lost else ()


def inside(box: Sequence[float], size: tuple[int, int], where: str) -> list[float] | None:
    """A box cut off at the border of an image of this height and width; None where nothing is left of it.

    Raises:
        DataError: not four finite numbers, or the second corner lies left of or above the first.
    """
    numbers = np.array(box, dtype=np.float64)
    if numbers.shape != (4,) or not np.isfinite(numbers).all() or (numbers[2:] < numbers[:2]).any():
        raise DataError(f"{where}: a box is x1, y1, x2, y2 with x1 <= x2 and y1 <= y2; found {list(box)}")
    height, width = size
    left, top, right, bottom = (float(value) for value in np.clip(numbers, 0, [width, height, width, height]))
    return [left, top, right, bottom] if right > left and bottom > top else None


def to_text(boxes: Iterable[tuple[str, Sequence[float]]], scores: Sequence[float] | None = None) -> str:
    """Labels and boxes, and a score of each if they are answers, as the JSON of a label."""
    rows: list[dict[str, Any]] = [{"box": [round(float(n), 2) for n in box], "label": label} for label, box in boxes]
    if scores is not None:
        rows = [{**row, "score": round(float(score), 4)} for row, score in zip(rows, scores, strict=True)]
    return json.dumps(rows, ensure_ascii=False)


def from_text(label: str) -> tuple[list[str], np.ndarray]:
    """What the objects of a label are, and their boxes ``[n, 4]``.

    Raises:
        DataError: not such JSON.
    """
    names, boxes, _ = with_scores(label)
    return names, boxes


def with_scores(label: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """As `from_text`, and their scores ``[n]``, 1 where there is none.

    Raises:
        DataError: not such JSON.
    """
    try:
        rows = json.loads(label)
        names = [str(row["label"]) for row in rows]
        boxes = np.array([row["box"] for row in rows], dtype=np.float64).reshape(len(rows), 4)
        scores = np.array([row.get("score", 1.0) for row in rows], dtype=np.float64)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(
            f'not boxes as text: {label[:60]!r}; expected [{{"box": [x1, y1, x2, y2], "label": "NAME"}}, ...]'
        ) from None
    return names, boxes, scores


def _json(files: FileSet, name: str, where: str) -> Any:
    try:
        return json.loads(decode_text(files.read(name), where, BYTES))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error})") from None


def _polygons(found: Listed, name: str, value: Any) -> None:
    boxes = [
        (item["label"], [*np.min(item["polygon"], axis=0), *np.max(item["polygon"], axis=0)])
        for item in value["objects"]
        if item["label"] in OBJECTS
    ]
    found.entry(PurePosixPath(name).name.removesuffix(POLYGONS) + ".png", name).boxes.extend(boxes)


def _annotations(found: Listed, name: str, value: Any, where: str) -> None:
    """COCO's three lists, or a mapping of images to their ``boxes``; any other JSON is left alone."""
    if not isinstance(value, Mapping):
        return
    try:
        if {"images", "annotations", "categories"} <= set(value):
            _coco(found, name, value)
            return
        for image, record in value.items():
            if isinstance(record, Mapping) and "boxes" in record:
                entry = found.entry(image, name)
                entry.boxes.extend((str(label), box) for label, *box in record["boxes"])
                entry.fields |= {key: what for key, what in record.items() if key != "boxes"}
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"{where}: broken annotations ({type(error).__name__}: {error})") from None


def _coco(found: Listed, file: str, value: Mapping[str, Any]) -> None:
    """``bbox`` is x, y, width, height; crowds are left out, as the evaluation of COCO does."""
    names = {row["id"]: str(row["name"]) for row in value["categories"]}
    boxes: dict[Any, list[Found]] = {row["id"]: [] for row in value["images"]}
    for row in value["annotations"]:
        if not row.get("iscrowd"):
            x, y, width, height = row["bbox"]
            boxes[row["image_id"]].append((names[row["category_id"]], [x, y, x + width, y + height]))
    for row in value["images"]:
        found.entry(row["file_name"], file).boxes.extend(boxes[row["id"]])


def _voc(found: Listed, name: str, data: bytes, where: str) -> None:
    """Pascal VOC counts pixels from 1 and includes the last one."""
    from xml.etree import ElementTree

    if b"<!ENTITY" in data:
        raise DataError(f"{where}: XML with entities of its own is not read")
    try:
        root = ElementTree.fromstring(data)
        boxes = []
        for item in root.iter("object"):
            x1, y1, x2, y2 = (float(item.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax"))
            boxes.append((item.findtext("name", ""), [x1 - 1, y1 - 1, x2, y2]))
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{where}: broken annotations ({error})") from None
    found.entry(root.findtext("filename") or PurePosixPath(name).name, name).boxes.extend(boxes)
