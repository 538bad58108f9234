"""What the values of masks mean."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from acclimate.domains.filesets import FileSet
from acclimate.errors import DataError

Legend = Mapping[int, str | None]
"""Value (of colours: red, green and blue as one number) to category; None: not labelled."""
FILE = "legend.json"
BACKGROUND = "background"
VOID = 255
MOST = 64
"""Numbers of classes lie below this where no legend says what they are."""
_GENERIC = frozenset({"masks", "mask", "labels", "label", "annotations", "gt", "segmentationclass"})

CITYSCAPES = (
    *(
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
    ),
    *("sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
)
"""The 19 classes that are trained, in the order of their train ids (Cordts et al., CVPR 2016)."""
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_SYNTHIA_IDS = (3, 4, 2, 21, 5, 7, 15, 9, 6, 16, 1, 10, 17, 8, 18, 19, 20, 12, 11)


def _numbered(ids: Iterable[int], others: Iterable[int]) -> dict[int, str | None]:
    known: dict[int, str | None] = dict.fromkeys(others)
    return {**known, **dict(zip(ids, CITYSCAPES, strict=True))}


KNOWN: dict[str, Legend] = {
    "cityscapes": _numbered(_CITYSCAPES_IDS, (*range(35), VOID)),
    "cityscapes_train": _numbered(range(19), (VOID,)),
    "synthia": _numbered(_SYNTHIA_IDS, range(23)),
}
"""By the name that ``?legend=`` takes: ids of Cityscapes and GTA5, train ids, ids of SYNTHIA."""
_BY_ROLE = {"gtFine": "cityscapes", "GT/LABELS": "synthia"}


def find_legend(files: FileSet, role: str, masks: Iterable[str], asked: str | None) -> Legend | None:
    """The legend of a folder of masks: the one asked for, the nearest `FILE` above them, or that of a known layout.

    Raises:
        DataError: no such legend, or a file that is none.
    """
    if asked is not None:
        if asked in KNOWN:
            return KNOWN[asked]
        if not Path(asked).is_file():
            raise DataError(f"legend '{asked}': neither a file nor one of {', '.join(KNOWN)}")
        return parsed(Path(asked).read_bytes(), asked)
    first = next(iter(masks))
    above = [str(PurePosixPath(folder, FILE)) for folder in PurePosixPath(first).parents]
    there = next((name for name in above if name in files.names), None)
    if there is not None:
        return parsed(files.read(there), f"{files.where}/{there}")
    known = "cityscapes_train" if first.endswith("labelTrainIds.png") else _BY_ROLE.get(role)
    return KNOWN[known] if known else None


def parsed(data: bytes, where: str) -> Legend:
    """From JSON: ``{"0": "background", "255": "vessel"}``, or by colour ``{"128,64,128": "road"}``; null: void.

    Raises:
        DataError: anything else.
    """
    try:
        found = json.loads(data)
        legend = {_value(key): None if name is None else str(name) for key, name in found.items()}
    except (ValueError, AttributeError):
        legend = {}
    if not legend:
        raise DataError(
            f'{where}: expected a JSON object of values or colours and their names, such as {{"0": "background", '
            '"255": "vessel"}} or {{"128,64,128": "road"}}; null for pixels without a label'
        )
    return legend


def _value(text: str) -> int:
    numbers = [int(part) for part in text.split(",")]
    if len(numbers) not in (1, 3):
        raise ValueError(text)
    return numbers[0] if len(numbers) == 1 else colour(*numbers)


def colour(red: int, green: int, blue: int) -> int:
    """A colour as a number; grey ones are their grey, so that a legend of numbers fits a grey mask saved as RGB."""
    return red if red == green == blue else (1 << 24) + (red << 16) + (green << 8) + blue


def guessed(holders: Mapping[int, Sequence[str]], role: str, where: str) -> Legend:
    """A legend where none is given: 0 and one other value, or numbers of classes below 64 and 255 for no label.

    Args:
        holders: by value, the masks that hold it.
        role: the folder of masks.
        where: for people.

    Raises:
        DataError: neither; names the value that the fewest masks hold, and one of them.
    """
    there = sorted(holders)
    inner = [value for value in there if value != 0]
    if len(inner) <= 1:
        name = PurePosixPath(role).name
        return {0: BACKGROUND, **dict.fromkeys(inner, "object" if name.lower() in _GENERIC else name)}
    if all(value < MOST or value == VOID for value in there):
        return {value: None if value == VOID else str(value) for value in there}
    shown = ", ".join(map(text_of, there[:8])) + (", ..." if len(there) > 8 else "")
    rarest = min(inner, key=lambda value: (len(holders[value]), value))
    few, every = len(holders[rarest]), len({name for names in holders.values() for name in names})
    raise DataError(
        f"{where}: masks hold the values {shown}: neither two values nor numbers of classes. {text_of(rarest)} is in "
        f"{few} of {every} masks, such as {holders[rarest][0]}. Mend it, or say what the values mean in "
        f'{FILE} beside the masks, such as {{"0": "background", "255": "vessel"}}, and save masks without loss (PNG)'
    )


def text_of(value: int) -> str:
    """A value for people; colours as three numbers."""
    if value < 1 << 24:
        return str(value)
    return f"{value >> 16 & 255},{value >> 8 & 255},{value & 255}"
