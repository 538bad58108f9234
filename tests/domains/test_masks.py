import json

import numpy as np
import pytest

from acclimate.domains.canvas import back, boxes_back, boxes_onto, frame_of, laid, onto
from acclimate.domains.masks import VOID, decoded, encoded, from_text, to_text
from acclimate.errors import DataError


def test_run_lengths_are_those_of_coco():
    mask = np.array([[0, 1, 1], [0, 1, 0]], dtype=bool)  # column by column: 2 zeros, 3 ones, 1 zero
    assert encoded(mask) == "231"
    assert encoded(np.ones((2, 2), dtype=bool)) == "04"
    assert encoded(np.zeros((2, 2), dtype=bool)) == "4"
    assert encoded(np.arange(100).reshape(10, 10) == 99) == "S31"  # 99 = 3 * 32 + 3: the group 3 says that 3 follows


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 40), (200, 300)])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 1.0])
def test_masks_come_back(size, share):
    rng = np.random.default_rng(0)
    mask = rng.random(size) < share
    blocks = (
        np.kron(rng.random((size[0] // 9 + 1, size[1] // 9 + 1)) < share, np.ones((9, 9)))[: size[0], : size[1]] > 0
    )
    for one in (mask, blocks):
        assert np.array_equal(decoded(encoded(one), size), one)


def test_labels_keep_categories_and_what_has_none():
    index = np.array([[0, 1, VOID], [2, 2, 0]], dtype=np.uint8)
    masks = from_text(to_text(index, ["a", "b", "c"]))
    assert np.array_equal(masks.index(["a", "b", "c"]), index)
    assert masks.index(["c", "a"]).tolist() == [[1, VOID, VOID], [0, 0, 1]]
    assert masks.index(["c", "a"], other=9)[0, 1] == 9
    assert list(json.loads(to_text(index, ["a", "b", "c", "d"]))["masks"]) == ["a", "b", "c"]


@pytest.mark.parametrize("label", ["vessel", "[1]", '{"size": [2, 2]}', '{"size": 3, "masks": {}}'])
def test_other_labels_are_refused(label):
    with pytest.raises(DataError, match="not masks as text"):
        from_text(label)


def test_runs_that_do_not_fill_the_image_are_refused():
    with pytest.raises(DataError, match="a mask of 6 pixels for an image of 3 x 3"):
        from_text('{"size": [3, 3], "masks": {"a": "231"}}').index(["a"])
    with pytest.raises(DataError, match="not run lengths"):
        from_text('{"size": [3, 3], "masks": {"a": "!"}}').index(["a"])


def test_a_wide_image_lies_whole_on_the_canvas_and_comes_back():
    mask = np.zeros((20, 40), dtype=np.uint8)
    mask[5:10, 30:40] = 1
    frame = frame_of((20, 40), 40)
    assert frame.tolist() == [0, 0, 1, 0, 20, 40]
    canvas = onto(mask, frame, 40, VOID)
    assert np.array_equal(canvas[:20], mask) and (canvas[20:] == VOID).all()
    assert np.array_equal(back(canvas, frame), mask)
    half = onto(mask, frame_of((20, 40), 20), 20, VOID)
    assert np.array_equal(half[:10], mask[1::2, 1::2])  # the middle of each 2 x 2, rounded down to the later pixel


def test_flips_and_parts_move_image_mask_and_boxes_alike():
    from PIL import Image

    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = np.zeros((48, 64), dtype=np.uint8)
        top, left = rng.integers(0, 30, size=2)
        mask[top : top + 16, left : left + 20] = 1
        frame = frame_of((48, 64), 64, part=rng.random(3), flip=bool(rng.integers(2)))
        seen = laid(Image.fromarray(mask * 255), frame, 64) > 127
        told = onto(mask, frame, 64, 0) == 1
        assert (seen != told).mean() < 0.03  # the rim alone
        x1, y1, x2, y2 = boxes_onto(np.array([[left, top, left + 20, top + 16]], dtype=float), frame, 64)[0]
        middle = np.mgrid[:64, :64] + 0.5
        inside = (middle[0] > y1) & (middle[0] < y2) & (middle[1] > x1) & (middle[1] < x2)
        assert np.array_equal(inside, told)
        again = boxes_back(np.array([[x1, y1, x2, y2]]), frame, 64)
        assert np.allclose(again, [[left, top, left + 20, top + 16]], atol=1e-3)
