from __future__ import annotations

import numpy as np
import pytest
import torch

from acclimate.backbones.preprocess import ImagePreprocess, as_image, crop_to_ink
from acclimate.errors import DataError, SettingsError


def digit(height: int, width: int, top: int, left: int, size: int, ink: int = 255, paper: int = 0) -> np.ndarray:
    """A square ring of ink somewhere on paper."""
    image = np.full((height, width), paper, dtype=np.uint8)
    image[top : top + size, left : left + size] = ink
    image[top + size // 3 : top + 2 * size // 3, left + size // 3 : left + 2 * size // 3] = paper
    return image


def test_odd_images_meet_in_one_tensor(odd_images):
    for channels in (1, 3):
        tensor = ImagePreprocess(32, channels)(odd_images)
        assert tensor.shape == (8, channels, 32, 32)
        assert tensor.is_contiguous(memory_format=torch.channels_last)
        assert tensor.min() >= 0 and tensor.max() <= 1
    assert ImagePreprocess(8)([]).shape == (0, 3, 8, 8)


def test_values_are_normalised_by_channel():
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    image[..., 0], image[..., 1], image[..., 2] = 255, 102, 51
    tensor = ImagePreprocess(2, 3, mean=(0.5, 0.4, 0.0), std=(0.5, 0.2, 0.1))([image])
    torch.testing.assert_close(tensor[0, :, 0, 0], torch.tensor([1.0, 0.0, 2.0]))


def test_resizing_is_antialiased():
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    small = ImagePreprocess(8, 1)([board.astype(np.uint8)])
    torch.testing.assert_close(small, torch.full_like(small, 0.5), atol=0.01, rtol=0)


def test_the_square_is_cropped_or_stretched():
    image = np.zeros((10, 30), dtype=np.uint8)
    image[:, :10] = 255
    assert ImagePreprocess(10, 1)([image]).max() == 0
    stretched = ImagePreprocess(30, 1, square="stretch")([image])[0, 0]
    assert stretched[:, :9].min() == 1 and stretched[:, 12:].max() == 0


def test_grey_and_colour():
    red = np.zeros((2, 2, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert ImagePreprocess(2, 1)([red])[0, 0, 0, 0].item() == pytest.approx(76 / 255)
    clear = np.zeros((2, 2, 4), dtype=np.uint8)
    assert ImagePreprocess(2)([clear]).min() == 1, "transparent is white"


def test_ink_is_found_whatever_margin_position_and_polarity():
    preprocess = ImagePreprocess(28, 1, crop="ink")
    looks = preprocess(
        [
            digit(28, 28, 4, 4, 18),
            digit(28, 40, 9, 20, 18),
            digit(18, 24, 0, 3, 18),
            digit(28, 28, 4, 4, 18, ink=20, paper=230),
            digit(28, 28, 4, 4, 18, ink=120, paper=40),
        ]
    )
    for other in looks[1:]:
        torch.testing.assert_close(other, looks[0])
    assert looks[0, 0, 0, 0] == 0 and looks[0].max() == 1


def test_ink_of_an_empty_page():
    assert np.asarray(crop_to_ink(as_image(np.full((9, 9), 255, dtype=np.uint8), 1))).max() == 0


def test_augmentation_is_drawn_from_the_generator_and_only_in_training(photos):
    images = [photos["cat"]] * 6
    preprocess = ImagePreprocess(24, augment="crop_flip")
    plain = preprocess(images)
    assert torch.equal(plain[0], plain[5])
    assert torch.equal(plain, preprocess(images, rng=np.random.default_rng(0)))
    one = preprocess(images, training=True, rng=np.random.default_rng(0))
    assert torch.equal(one, preprocess(images, training=True, rng=np.random.default_rng(0)))
    assert not torch.equal(one, preprocess(images, training=True, rng=np.random.default_rng(1)))
    assert len({image.numpy().tobytes() for image in one}) == 6


def test_flips_are_mirror_images(photos):
    images = [photos["cat"]] * 20
    plain = ImagePreprocess(24)(images[:1])[0]
    flipped = ImagePreprocess(24, augment="flip")(images, training=True, rng=np.random.default_rng(0))
    same = [torch.equal(image, plain) for image in flipped]
    mirrored = [torch.equal(image, plain.flip(-1)) for image in flipped]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 4 < sum(mirrored) < 16


@pytest.mark.parametrize("channels", [1, 3])
def test_random_colours_give_each_channel_another_contrast_and_invert_half(channels):
    black_to_white = np.linspace(0, 255, 256).astype(np.uint8).reshape(16, 16)
    preprocess = ImagePreprocess(16, channels, augment="color")
    plain = ImagePreprocess(16, channels)([black_to_white])[0]
    looks = preprocess([black_to_white] * 400, training=True, rng=np.random.default_rng(0))
    assert torch.equal(preprocess([black_to_white])[0], plain)
    dark, bright = looks[:, :, 0, 0], looks[:, :, -1, -1]
    contrast = (bright - dark).numpy()
    assert 0.3 <= np.abs(contrast).min() < 0.32 and 0.98 < np.abs(contrast).max() <= 1 + 1e-6
    assert 0.45 < (contrast < 0).mean() < 0.55
    assert looks.min() >= -1e-6 and looks.max() <= 1 + 1e-6
    assert all(len(np.unique(values)) == channels for values in contrast)
    expected = dark[:, :, None, None] + (bright - dark)[:, :, None, None] * plain
    torch.testing.assert_close(looks, expected)


def test_random_crops_stay_inside():
    preprocess = ImagePreprocess(8, augment="crop")
    boxes, flips, colors = preprocess._draw(2000, np.random.default_rng(0))
    assert flips is None and colors is None
    assert boxes.min() >= 0 and boxes.max() <= 1
    sides = boxes[:, 2:] - boxes[:, :2]
    assert 0.45 < sides.prod(axis=1).min() < 0.55 and sides.max() <= 1


@pytest.mark.parametrize(
    "bad", [np.zeros((0, 5), np.uint8), np.zeros((4, 4, 5), np.uint8), np.zeros((4, 4)), np.uint8(3)]
)
def test_what_is_no_image(bad):
    with pytest.raises(DataError, match="an image must be uint8"):
        ImagePreprocess(8)([bad])


def test_settings_are_checked():
    with pytest.raises(SettingsError):
        ImagePreprocess(8, 2)
