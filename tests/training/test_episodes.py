"""Batches of episodes: what a learner is handed."""

import numpy as np
import pytest
import torch

from acclimate.backbones import registry
from acclimate.domains.episodes import Episodes
from acclimate.domains.read import read
from acclimate.tasks.classify import Classify
from acclimate.training.episodes import EpisodeStream

TASK = Classify(("0", "1"))


def images(classes: int = 3):
    pixels = np.random.default_rng(0).integers(0, 255, (classes * 8, 28, 28)).astype(np.uint8)
    return read((pixels, np.repeat([f"c{k}" for k in range(classes)], 8)), label=True)


def stream(episodes, backbone="small_cnn", **settings):
    network = registry.create(backbone, "image", settings)
    return EpisodeStream("source", episodes, network, TASK, size=5, seed=0)


def test_targets_are_places_and_origin_is_the_class():
    whole = images()
    episodes = Episodes(whole, ways=2, shots=1, queries=3)
    batch = stream(episodes).batch(2)
    drawn = episodes.draw(10, 5)
    collated = registry.create("small_cnn", "image").collate(whole.rows.take(drawn.query.reshape(-1)))
    assert torch.equal(batch.views["query"].inputs, collated.view(5, 6, 1, 28, 28))
    assert batch.targets.tolist() == [[0, 1]] * 5
    assert batch.views["query"].targets.tolist() == [[0, 0, 0, 1, 1, 1]] * 5
    labels = whole.labels[drawn.support]
    assert [[f"c{k}" for k in row] for row in batch.origin.tolist()] == labels.tolist()


@pytest.mark.parametrize("settings", [{}, {"augment": "color"}], ids=["held", "collated anew"])
def test_a_turned_image_is_a_class_of_its_own(settings):
    whole = images(1)
    episodes = Episodes(whole, ways=3, shots=1, queries=1, turns=True)
    batch, drawn = stream(episodes, **settings).batch(0), episodes.draw(0, 5)
    assert torch.equal(batch.origin % 4, torch.from_numpy(drawn.turns))
    if settings:
        return
    for task, (inputs, rows) in enumerate(zip(batch.inputs, drawn.support, strict=True)):
        for place, image in enumerate(whole.rows.take(rows)):
            upright = registry.create("small_cnn", "image").collate([np.rot90(image, drawn.turns[task, place])])
            assert torch.equal(inputs[place], upright[0])


def test_held_and_collated_images_are_turned_alike():
    episodes = Episodes(images(2), ways=4, shots=1, queries=2, turns=True)
    held, anew = stream(episodes), stream(episodes)
    anew.held = None
    assert held.held is not None
    assert torch.equal(held.batch(3).inputs, anew.batch(3).inputs)
    flat = stream(episodes, "pixels")
    assert flat.batch(3).inputs.shape == (5, 4, 768)
    flat.held = None
    assert torch.equal(flat.batch(3).inputs, stream(episodes, "pixels").batch(3).inputs)


def test_the_tasks_of_a_step_are_of_one_shape():
    episodes = Episodes(images(6), ways=(2, 6), shots=(1, 4), queries=2)
    shapes = {stream(episodes).batch(step).inputs.shape[:2] for step in range(30)}
    assert len(shapes) > 5
    assert {size for size, _ in shapes} == {5}
    parts = [stream(episodes).batch(4, slice(k, None, 2)).inputs for k in range(2)]
    whole = stream(episodes).batch(4).inputs
    assert torch.equal(parts[0], whole[::2])
    assert torch.equal(parts[1], whole[1::2])
