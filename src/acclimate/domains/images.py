"""Image bytes to uint8 arrays, whatever the file holds."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from acclimate.errors import DataError

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2"}
)


@contextmanager
def _opened(data: bytes, where: str) -> Iterator[Any]:
    """The image behind the bytes, header read only; every fault of the file is a DataError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd metadata; what matters raises
            with Image.open(io.BytesIO(data)) as image:
                # Pillow only warns above its limit and refuses at twice that; here the limit is the limit.
                if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
                    raise Image.DecompressionBombError
                yield image
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(
            f"{where}: the image has more than {Image.MAX_IMAGE_PIXELS:,} pixels; shrink it (a decompression bomb?)"
        ) from None
    except UnidentifiedImageError:
        raise DataError(f"{where}: broken or truncated image (its format is not recognised)") from None
    except Exception as error:  # decoders raise whatever they like: SyntaxError, struct.error, EOFError, ...
        raise DataError(f"{where}: broken or truncated image ({error})") from None


def check_image(data: bytes, where: str) -> None:
    """Read the header: is this an image, and of a sane size?

    Raises:
        DataError: no image, or more pixels than Pillow's limit; names the file.
    """
    with _opened(data, where) as image:
        if min(image.size) < 1:
            raise DataError(f"{where}: the image is empty")


def decode_image(data: bytes, where: str) -> np.ndarray:
    """uint8 pixels: ``[height, width]`` of a grey image, ``[height, width, 3]`` of any other, upright.

    The EXIF orientation is applied; palettes, CMYK and the like become RGB; transparent parts are
    laid on white; 16-bit grey is scaled to 8 bit; of an animation the first frame is taken.

    Raises:
        DataError: broken, truncated or oversized image; names the file.
    """
    from PIL import ImageOps

    with _opened(data, where) as image:
        image.load()
        return to_pixels(ImageOps.exif_transpose(image))


def to_pixels(image: Any) -> np.ndarray:
    """A Pillow image as uint8 ``[height, width]`` or ``[height, width, 3]``."""
    from PIL import Image

    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    if image.mode.startswith(("I", "F")):
        return _grey8(np.asarray(image))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def _grey8(values: np.ndarray) -> np.ndarray:
    """16-bit, 32-bit or float grey to 8 bit, by the smallest usual range that holds all values."""
    numbers = np.nan_to_num(values.astype(np.float64))
    low, high = float(min(numbers.min(), 0)), float(numbers.max())
    ranges = [65535.0] if values.dtype == np.uint16 else [1.0 if values.dtype.kind == "f" else 255.0, 255.0, 65535.0]
    high = next((top for top in ranges if low == 0 and high <= top), high)
    return ((numbers - low) * (255.0 / max(high - low, 1e-12))).round().astype(np.uint8)


def size_of(data: bytes, where: str) -> tuple[int, int]:
    """Height and width of an image as `decode_image` gives it.

    Raises:
        DataError: no image.
    """
    from PIL import ExifTags

    with _opened(data, where) as image:
        width, height = image.size
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (width, height) if turned else (height, width)
