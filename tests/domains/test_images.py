import io

import numpy as np
import pytest
from PIL import Image

from acclimate.domains.images import check_image, decode_image
from acclimate.errors import DataError

RAMP = np.add.outer(np.arange(20), 10 * np.arange(12)).astype(np.uint8)


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_grey_stays_grey_and_colour_colour():
    assert np.array_equal(decode_image(encoded(Image.fromarray(RAMP)), "a"), RAMP)
    rgb = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=2)
    assert np.array_equal(decode_image(encoded(Image.fromarray(rgb)), "a"), rgb)


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees to look upright
    data = encoded(Image.fromarray(RAMP), exif=exif)
    assert np.array_equal(decode_image(data, "a"), np.rot90(RAMP, -1))


def test_sixteen_bit_grey_is_scaled():
    values = np.array([[0, 257, 65535, 32768]], dtype=np.uint16)
    assert decode_image(encoded(Image.fromarray(values)), "a").tolist() == [[0, 1, 255, 128]]


def test_palette_one_bit_and_cmyk():
    red = Image.new("RGB", (3, 2), (255, 0, 0))
    assert decode_image(encoded(red.convert("P")), "a")[0, 0].tolist() == [255, 0, 0]
    assert decode_image(encoded(red.convert("CMYK"), "TIFF"), "a")[0, 0].tolist() == [255, 0, 0]
    assert decode_image(encoded(Image.new("1", (3, 2), 1)), "a").tolist() == [[255] * 3] * 2


def test_transparent_parts_are_white():
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((0, 0), (10, 20, 30, 255))
    assert decode_image(encoded(image), "a").tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_float_grey():
    image = Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32))
    assert decode_image(encoded(image, "TIFF"), "a").tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_truncated_images_name_the_file(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    for keep in (10, len(data) // 2):
        with pytest.raises(DataError, match=r"cats/one\.jpg: broken or truncated"):
            decode_image(data[:keep], "cats/one.jpg")


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"not an image at all", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_what_is_no_image(data):
    with pytest.raises(DataError, match="here"):
        check_image(data, "here")


def test_flipped_bytes_decode_or_are_data_errors():
    rng = np.random.default_rng(1)
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP"):
        data = encoded(Image.fromarray(RAMP), kind)
        for _ in range(60):
            broken = bytearray(data)
            broken[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
            try:
                assert decode_image(bytes(broken), "a").dtype == np.uint8
            except DataError as error:
                assert str(error).startswith("a: ")


def test_decompression_bomb_is_refused_from_its_header(monkeypatch):
    data = encoded(Image.new("1", (2000, 1000)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_500_000)
    for look in (check_image, decode_image):
        with pytest.raises(DataError, match="bomb"):
            look(data, "bomb.png")
