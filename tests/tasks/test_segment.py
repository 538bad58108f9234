"""Segmentation by hand: metrics, loss, maps, sites, targets and labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import acclimate as ac
from acclimate.backbones import registry as backbones
from acclimate.domains.augment import strong
from acclimate.domains.domain import Domain, Schema
from acclimate.domains.masks import VOID, from_text, to_text
from acclimate.domains.read import read
from acclimate.domains.rows import ListRows
from acclimate.errors import DataError
from acclimate.tasks.mask_metrics import boundary, weighted_masks
from acclimate.tasks.segment import Segment, dice_loss
from acclimate.tasks.sites import Maps
from acclimate.tasks.thresholds import Look, otsu_threshold
from acclimate.training.model import Model
from acclimate.training.stream import Stream


def label(values, names=("background", "disc")):
    return to_text(np.array(values, dtype=np.uint8), list(names))


def domain(images, labels):
    rows = ListRows(np.array([*images, None], dtype=object)[:-1])
    ids = np.array([str(k).encode() for k in range(len(images))], dtype="S32")
    return Domain("scenes", Schema("image", label="masks"), rows, ids, np.array([*labels, ""], dtype=object)[:-1])


def test_metrics_by_hand():
    truth = label([[0, 0, 1, 1], [0, 0, 1, VOID]])  # 4 of background, 3 of the disc
    said = label([[0, 1, 1, 1], [0, 0, 0, 1]])  # both: 3 of background, 2 of the disc; said: 4 and 3 where known
    found = weighted_masks([said], [truth])(None)
    assert found["miou"] == pytest.approx((3 / 5 + 2 / 4) / 2)
    assert found["dice"] == pytest.approx(2 * 2 / (3 + 3))
    assert found["accuracy"] == pytest.approx(5 / 7)
    both = weighted_masks([said, truth], [truth, truth])
    assert both(np.array([0.0, 2.0]))["miou"] == both(np.array([0.0, 1.0]))["dice"] == 1
    pooled = (3 + 4) / (5 + 4), (2 + 3) / (4 + 3)
    assert both(None)["miou"] == pytest.approx(np.mean(pooled))  # counted over all images, no mean of images
    assert weighted_masks([""], [truth])(None) == {"miou": 0, "dice": 0, "boundary_f1": 0, "accuracy": 0}


def test_boundaries_by_hand():
    mask = np.zeros((5, 5), dtype=bool)
    mask[1:4, 1:4] = True
    assert boundary(mask).sum() == 8 and not boundary(mask)[2, 2]
    assert boundary(np.ones((3, 3), dtype=bool)).sum() == 0
    truth = np.zeros((60, 80), dtype=np.uint8)
    truth[20:40, 20:40] = 1
    moved = np.roll(truth, 2, axis=1)  # 0.75 % of the diagonal of 100 is 0.75 pixels, and one at least
    scores = weighted_masks([label(moved)], [label(truth)])(None)
    # of 76 pixels 19 of the upper and lower side are near, and on the left one below and one above these
    assert scores["boundary_f1"] == pytest.approx((2 * 19 + 2) / 76)
    near = weighted_masks([label(np.roll(truth, 1, axis=1))], [label(truth)])(None)
    assert near["boundary_f1"] == 1 and near["dice"] == pytest.approx(0.95)


def test_an_unknown_category_of_the_target_counts_as_an_error():
    truth = to_text(np.array([[0, 1]], dtype=np.uint8), ["background", "star"])
    assert weighted_masks([label([[0, 1]])], [truth])(None)["miou"] == 0.5


def test_the_loss_by_hand():
    task = Segment(("background", "disc"), Look("background"))
    logits = torch.zeros(2, 2, 1, 2)
    logits[1, 1, 0, 0] = 20.0
    targets = torch.tensor([[[0, VOID]], [[1, VOID]]], dtype=torch.uint8)
    even, sure = task.loss({"logits": logits}, targets).tolist()
    # one pixel counts: cross-entropy ln 2; Dice of background 1 - 2 / 2.5, of the disc 1 - 1 / 1.5
    assert even == pytest.approx(math.log(2) + (0.2 + 1 / 3) / 2, abs=1e-6)
    assert sure == pytest.approx(0, abs=1e-6)
    nothing = task.loss({"logits": logits}, torch.full((2, 1, 2), VOID, dtype=torch.uint8))
    assert nothing.tolist() == [0, 0]
    probs = torch.tensor([[[[0.2, 0.9]], [[0.8, 0.1]]]])
    found = dice_loss(probs, torch.tensor([[[1, 0]]]), torch.ones(1, 1, 2, dtype=torch.bool))
    assert found.item() == pytest.approx(((1 - 2.8 / 3.1) + (1 - 2.6 / 2.9)) / 2, abs=1e-6)


def test_otsu_parts_two_heaps():
    assert 30 <= otsu_threshold(np.array([[10, 30, 20, 200, 210, 220]])) < 200


def test_baselines_know_which_side_is_dark(pair):
    source = read(pair / "source", label="masks", shapes="masks")
    task = Segment.from_domain(source)
    assert task.look == Look("background", "background", "discs")
    scores = {name: task.metrics(said, source.labels) for name, said in task.baselines(source.rows).items()}
    assert scores["otsu"]["dice"] > 0.95 and scores["majority"]["dice"] == 0


@pytest.mark.parametrize(
    ("name", "strides"),
    [("small_cnn", [1, 2, 4]), ("conv4", [1, 2, 4, 8, 16]), ("mobilenet_v2", [1, 2, 4, 8, 16, 32])],
)
def test_maps_lie_where_their_pixels_do(name, strides):
    backbone = backbones.create(name, "image", {"size": 64})
    backbone.read_maps()
    assert list(backbone.spec.maps) == strides
    backbone.eval()
    dark, lit = np.zeros((64, 64, 3), dtype=np.uint8), np.zeros((64, 64, 3), dtype=np.uint8)
    lit[40:44, 20:24] = 255
    with torch.no_grad():
        maps = [backbone.maps(backbone.collate([image])) for image in (dark, lit)]
    for stride, width, before, after in zip(strides, backbone.spec.maps.values(), *maps, strict=True):
        assert before.shape == (1, width, 64 // stride, 64 // stride)
        change = (after - before).abs().sum((0, 1))
        if change.sum() and stride <= 8:
            rows, columns = (change.sum(k) / change.sum() for k in (1, 0))
            middles = (torch.arange(len(rows)) + 0.5) * stride
            assert abs(float(rows @ middles) - 42) < stride + 2 and abs(float(columns @ middles) - 22) < stride + 2


def test_views_and_targets_follow_the_image(pair):
    source = read(pair / "source", label="masks", shapes="masks")
    task = Segment.from_domain(source)
    backbone = backbones.create("small_cnn", "image", {"size": 32, "augment": "crop_flip"})
    backbone.read_maps()
    batch = Stream("source", source, backbone, task, size=12, seed=0, views=("strong",)).batch(0)
    frames = batch.inputs["frame"]
    assert torch.equal(frames, batch.views["strong"].inputs["frame"])
    assert len(set(frames[:, 2].tolist())) == 12 and set(frames[:, 3].tolist()) == {0.0, 1.0}
    bright = batch.inputs["pixels"][:, 0] > torch.quantile(batch.inputs["pixels"].flatten(1), 0.5, dim=1)[:, None, None]
    light = [batch.inputs["pixels"][k, 0][batch.targets[k] == 1].mean() for k in range(12)]
    dark = [batch.inputs["pixels"][k, 0][batch.targets[k] == 0].mean() for k in range(12)]
    assert bright.any() and min(a - b for a, b in zip(light, dark, strict=True)) > 0.5


def test_still_views_leave_things_where_they_are():
    image = np.zeros((40, 40), dtype=np.uint8)
    image[10:20, 25:35] = 200
    for seed in range(20):
        view = strong([image], "image", np.random.default_rng(seed), still=True)[0]
        outside = view[image == 0]
        inside = view[image == 200]
        if inside.std() == 0 and inside[0] != 128:
            assert (outside == outside[0]).sum() + (outside == 128).sum() >= len(outside)


def test_sure_pixels_are_targets():
    task, logits = Segment(("a", "b"), Look("a")), torch.zeros(2, 2, 4, 4)
    logits[0, 1, :, :2], logits[0, 0, :, 3] = 9.0, 9.0
    frames = torch.tensor([[0, 0, 1, 0, 2, 4], [0, 0, 1, 0, 4, 4.0]])  # the first image fills the upper half
    targets, share = task.sure_targets({"logits": logits, "frame": frames}, 0.9)
    assert targets[0].tolist() == [[1, 1, VOID, 0]] * 2 + [[VOID] * 4] * 2 and (targets[1] == VOID).all()
    assert share.tolist() == [0.75, 0]


def test_sites_leave_out_what_is_not_of_the_image():
    task = Segment(("a", "b"), Look("a"))
    backbone = backbones.create("small_cnn", "image", {"size": 32})
    model = Model(backbone, task)
    wide = [np.zeros((8, 32), dtype=np.uint8), np.zeros((32, 32), dtype=np.uint8)]
    step = model(ac.domains.batch.Batch(backbone.collate(wide)))
    assert {name: len(site.values) for name, site in step.sites.items()} == {"features": 2, "pixels": 4, "output": 4}
    # middles lie at 8.5 and 24.5: below the wide image of 8 rows
    assert step.sites["pixels"].owner.tolist() == [1, 1, 1, 1]
    assert step.sites["output"].values.shape[1] == 2 * 8 * 8
    assert torch.allclose(step.sites["pixels"].probs.sum(1), torch.ones(4))
    assert {name: width.probs for name, width in model.sites.items()} == {"features": 0, "pixels": 2, "output": 0}


def test_patches_of_output_are_answers_side_by_side():
    task = Segment(("a", "b"), Look("a"))
    logits = torch.zeros(1, 2, 32, 32)
    logits[:, 1, :16, 16:] = 9.0
    outputs = {"logits": logits, "pixels": torch.zeros(1, 3, 32, 32), "frame": torch.tensor([[0, 0, 1, 0, 32, 32.0]])}
    site = task.sites(Maps((torch.zeros(1, 5, 4, 4),), outputs["frame"]), outputs)["output"]
    said = site.values.reshape(4, 2, 64)[:, 1]
    assert torch.allclose(said.mean(1), torch.tensor([0.5, torch.sigmoid(torch.tensor(9.0)), 0.5, 0.5]))


def test_a_temperature_is_found_by_pixels_that_are_labelled_and_inside():
    task = Segment(("a", "b"), Look("a"))
    logits = torch.zeros(1, 2, 4, 4)
    logits[0, 1] = torch.arange(16.0).reshape(4, 4)
    outputs = {"logits": logits, "frame": torch.tensor([[0, 0, 1, 0, 2, 4.0]])}  # the image is two pixels high
    said = {name: value.numpy() for name, value in task.brief(outputs).items()}
    found, targets = task.calibration(said, np.array([label([[0, 1, VOID, 1], [1, 0, 0, 1]], task.categories)]))
    assert found[:, 1].tolist() == [0, 1, 3, 4, 5, 6, 7] and targets.tolist() == [0, 1, 1, 1, 0, 0, 1]
    halves = [task.decode(said, heat).confidence[0] for heat in (1.0, 2.0)]
    assert halves == pytest.approx([np.mean(1 / (1 + np.exp(-np.arange(8) / heat))) for heat in (1, 2)])


def test_labels_that_fit_nothing(pair):
    source = read(pair / "source", label="masks", shapes="masks")
    image = source.rows.take(np.array([0]))[0]
    with pytest.raises(DataError, match=r"masks show \['disc'\] alone"):
        Segment.from_domain(domain([image], [label(np.ones((32, 32)))]))
    task = Segment.from_domain(source)
    with pytest.raises(DataError, match="its mask shows 'disc', and those of the source show background, discs"):
        task.check(domain([image], [label(np.ones((32, 32)))]))
    backbone = backbones.create("small_cnn", "image", {"size": 32})
    backbone.read_maps()
    with pytest.raises(DataError, match=r"a mask of \(2, 2\) pixels for an image of \(32, 32\)"):
        task.placed(np.array([label(np.ones((2, 2)))]), backbone.collate([image]))
    with pytest.raises(DataError, match="is text; pixels are segmented of images"):
        Segment.from_domain(read(["a", "b"]))
    assert task.remarks(domain([image], [label(np.zeros((32, 32)))])) == (
        "scenes: 1 of 1 images show background alone",
    )


def test_the_surest_pixels_of_each_category_teach():
    task = Segment(("a", "b"), Look("a"))
    best = np.array([[[0, 0], [0, 0]], [[0, 1], [1, 1]]], dtype=np.uint8)
    sure = np.array([[[200, 180], [160, 140]], [[120, 110], [130, 90]]], dtype=np.uint8)
    frame = np.array([[0, 0, 1, 0, 2, 2]] * 2, dtype=np.float32)
    found = task.surest({"best": best, "sure": sure, "frame": frame}, 0.4, range(2))
    shown = [from_text(label).index(["a", "b"]).tolist() for label in found.labels]
    # of five pixels of a two, of three of b one and a part: two
    assert shown == [[[0, 0], [VOID, VOID]], [[VOID, 1], [1, VOID]]]
    assert found.confidence == pytest.approx((200 + 180 + 110 + 130) / 4 / 200)
