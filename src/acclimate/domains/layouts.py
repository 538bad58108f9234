"""Images with annotations beside them: which files are images, and which file says what of each.

Known are ``images/`` with folders of masks next to it (any names), the folders of Cityscapes and Foggy Cityscapes
(``leftImg8bit*/``, ``gtFine/``), GTA5 (``images/``, ``labels/``), SYNTHIA (``RGB/``, ``GT/LABELS/``) and Pascal VOC
(``JPEGImages/``, ``SegmentationClass/``, ``Annotations/``). File names alone decide: no annotation is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from acclimate.domains.images import EXTENSIONS
from acclimate.errors import DataError

IMAGES = frozenset({"images", "image", "imgs", "img", "jpegimages", "rgb", "leftimg8bit", "leftimg8bit_foggy"})
"""Folders that hold images, in small letters, where others beside them hold annotations."""
ASIDE = frozenset({"fov", "roi"})
"""Masks of where to look, as in DRIVE: taken only where they are asked for by name."""
_OF_IMAGES = re.compile(r"_leftImg8bit(_foggy_beta_[\d.]+)?$")
_OF_MASKS = re.compile(r"(_gtFine_labelIds|_gtFine_labelTrainIds|[_-]mask)$")
_DEEPEST = 2
"""Folders that the place of annotations may be named by, as GT/LABELS."""

Key = tuple[str, str]
"""The folder in which images and annotations lie side by side, and what an image is called in it."""


@dataclass(frozen=True)
class Layout:
    """The images among some files, and the masks of each.

    Attributes:
        where: the folder or zip.
        images: names of the images.
        masks: by folder of masks, the file of each image that has one.
    """

    where: str
    images: list[str]
    masks: Mapping[str, Mapping[str, str]]

    def role(self, label: str) -> str:
        """The folder of masks that a label names; any one, if it is the only one, for the label ``masks``.

        Raises:
            DataError: there is none, or none of this name, or several.
        """
        if label in self.masks:
            return label
        usual = [role for role in self.masks if PurePosixPath(role).name.lower() not in ASIDE]
        if label == "masks" and len(usual) == 1:
            return usual[0]
        found = ", ".join(sorted(self.masks)) or "none"
        if label == "masks" and usual:
            raise DataError(f"{self.where}: several folders of masks; name one with --label: {found}")
        raise DataError(
            f"{self.where}: no folder '{label}' of masks beside the images; found: {found}. Expected images/NAME.jpg "
            "and masks/NAME.png, or the folders of Cityscapes, GTA5, SYNTHIA or Pascal VOC"
        )


def layout(names: Sequence[str], where: str) -> Layout:
    """The images among the names, and their masks. Where no folder is one of `IMAGES`, every image is a row."""
    pictures = [name for name in names if PurePosixPath(name).suffix.lower() in EXTENSIONS]
    keys = {name: key for name in pictures if (key := _image_key(name)) is not None}
    if not keys:
        return Layout(where, pictures, {})
    owners: dict[Key, list[str]] = {}
    for name, key in keys.items():
        owners.setdefault(key, []).append(name)
    masks: dict[str, dict[str, str]] = {}
    for name in pictures:
        if name in keys:
            continue
        for role, key in _mask_keys(name):
            for owner in owners.get(key, ()):
                other = masks.setdefault(role, {}).get(owner)
                if other is None or other.endswith("TrainIds.png"):  # ids say more than the numbers made of them
                    masks[role][owner] = name
    return Layout(where, list(keys), masks)


def stem(name: str) -> str:
    """The name of an image without folders, extension and what Cityscapes adds."""
    return _OF_IMAGES.sub("", PurePosixPath(name).stem)


def mask_name(image: str) -> str:
    """What the mask of an image is called in a folder beside that of the images, ``a/images/1.jpg`` as ``a/1.png``."""
    key = _image_key(image)
    own = PurePosixPath(*key) if key is not None else PurePosixPath(image).with_suffix("")
    return f"{own}.png"


def _image_key(name: str) -> Key | None:
    parts = PurePosixPath(name).parts
    at = next((k for k, part in enumerate(parts[:-1]) if part.lower() in IMAGES), None)
    return None if at is None else ("/".join(parts[:at]), "/".join((*parts[at + 1 : -1], stem(name))))


def _mask_keys(name: str) -> list[tuple[str, Key]]:
    """Every folder of masks that a file may be of, with the image that would then be its."""
    *parts, file = PurePosixPath(name).parts
    own = _OF_MASKS.sub("", PurePosixPath(file).stem)
    ends = [(first, last) for first in range(len(parts)) for last in range(first + 1, len(parts) + 1)]
    return [
        ("/".join(parts[first:last]), ("/".join(parts[:first]), "/".join((*parts[last:], own))))
        for first, last in ends
        if last - first <= _DEEPEST
    ]
