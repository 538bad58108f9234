"""Episodes: what is drawn, how evenly, and that it can be drawn again."""

from dataclasses import replace

import numpy as np
import pytest

from acclimate.domains.episodes import Episodes, distinct
from acclimate.domains.read import read
from acclimate.errors import DataError, SettingsError


def domain(sizes=(8, 9, 10, 11, 12, 4), groups=None):
    labels = np.repeat([f"c{k}" for k in range(len(sizes))], sizes)
    values = np.arange(len(labels) * 2, dtype=np.float32).reshape(-1, 2)
    made = read((values, labels), label=True)
    return made if groups is None else replace(made, groups=np.asarray(groups, dtype=object)[[*map(int_of, labels)]])


def int_of(label):
    return int(str(label)[1:])


def test_rows_are_of_the_class_and_never_twice():
    whole = domain()
    episodes = Episodes(whole, ways=3, shots=2, queries=5)
    drawn = episodes.draw(0, 200)
    assert drawn.support.shape == (200, 3, 2)
    assert drawn.query.shape == (200, 3, 5)
    rows = np.concatenate([drawn.support, drawn.query], axis=2)
    for episode, pools in zip(rows, drawn.pools, strict=True):
        assert len(set(episode.ravel())) == episode.size
        assert len(set(pools)) == 3
        for way, pool in zip(episode, pools, strict=True):
            assert {str(label) for label in whole.labels[way]} == {episodes.pools.names[pool][1]}


def test_a_class_with_too_few_rows_is_left_out():
    pools = Episodes(domain(), ways=3, shots=2, queries=5).pools
    assert pools.classes == {"c0", "c1", "c2", "c3", "c4"}
    assert pools.left_out == 1


def test_any_part_can_be_drawn_again():
    episodes = Episodes(domain(), ways=3, shots=2, queries=5, seed=3)
    whole = episodes.draw(0, 150)
    part = Episodes(domain(), ways=3, shots=2, queries=5, seed=3).draw(60, 10)
    assert np.array_equal(part.support, whole.support[60:70])
    assert np.array_equal(part.query, whole.query[60:70])
    other = Episodes(domain(), ways=3, shots=2, queries=5, seed=4).draw(0, 150)
    assert not np.array_equal(other.support, whole.support)


def test_file_order_plays_no_part():
    whole = domain()
    mixed = whole.select(np.random.default_rng(0).permutation(len(whole)))
    first = Episodes(whole, ways=3, shots=2, queries=5).draw(0, 20)
    second = Episodes(mixed, ways=3, shots=2, queries=5).draw(0, 20)
    assert np.array_equal(whole.ids[first.support], mixed.ids[second.support])
    assert np.array_equal(whole.ids[first.query], mixed.ids[second.query])


def test_every_ordered_choice_is_equally_likely():
    found = distinct(np.random.default_rng(0), np.full(60_000, 4), 3)
    _, counts = np.unique(found, axis=0, return_counts=True)
    assert len(counts) == 24
    expected = 60_000 / 24
    assert ((counts - expected) ** 2 / expected).sum() < 49.7  # chi-squared, 23 degrees of freedom: p = 0.001


def test_sizes_may_differ():
    sizes = np.array([3, 5, 50] * 100)
    found = distinct(np.random.default_rng(0), sizes, 3)
    assert (found < sizes[:, None]).all()
    assert all(len(set(row)) == 3 for row in found)
    assert found[2::3].max() > 40


def test_classes_of_one_group():
    episodes = Episodes(domain((8,) * 6, groups=list("aaabbb")), ways=3, shots=1, queries=2, groups="within")
    groups = {tuple(sorted(episodes.pools.names[pool][1] for pool in pools)) for pools in episodes.draw(0, 100).pools}
    assert groups == {("c0", "c1", "c2"), ("c3", "c4", "c5")}


def test_a_group_as_task_keeps_what_its_classes_mean():
    labels = np.tile(["no", "yes"], 40)
    made = replace(
        read((np.arange(160, dtype=np.float32).reshape(-1, 2), labels), label=True),
        groups=np.repeat(np.array(["x", "y", "z", "w"], dtype=object), 20),
    )
    episodes = Episodes(made, ways=2, shots=3, queries=4, groups="tasks")
    drawn = episodes.draw(0, 50)
    for support, query in zip(drawn.support, drawn.query, strict=True):
        assert len(set(made.groups[support.ravel()]) | set(made.groups[query.ravel()])) == 1
        assert set(made.labels[support[0]]) == {"no"}
        assert set(made.labels[support[1]]) == {"yes"}
    assert len({made.groups[row] for row in drawn.support[:, 0, 0]}) == 4


def test_a_group_of_numbers_is_one_pool():
    made = replace(domain((20, 20)), groups=np.repeat(np.array(["x", "y"], dtype=object), 20))
    drawn = Episodes(made, ways=1, shots=5, queries=10, groups="tasks").draw(0, 30)
    assert drawn.support.shape == (30, 1, 5)
    for support, query in zip(drawn.support, drawn.query, strict=True):
        assert len(set(made.groups[support.ravel()]) | set(made.groups[query.ravel()])) == 1


def test_turned_images_are_classes_of_their_own():
    images = np.random.default_rng(0).integers(0, 255, (20, 8, 8)).astype(np.uint8)
    made = read((images, np.repeat(["a", "b"], 10)), label=True)
    drawn = Episodes(made, ways=8, shots=1, queries=2, turns=True).draw(0, 5)
    for pools, turns in zip(drawn.pools, drawn.turns, strict=True):
        assert len(set(zip(pools, turns, strict=True))) == 8
    with pytest.raises(SettingsError, match="rotates images"):
        Episodes(domain(), turns=True)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"ways": 6}, "ask for fewer ways"),
        ({"shots": 100}, "ask for fewer ways"),
        ({"groups": "within"}, "--group"),
    ],
)
def test_what_cannot_be_drawn_is_told(how, words):
    with pytest.raises(DataError, match=words):
        Episodes(domain(), **{"ways": 3, "shots": 1, "queries": 4, **how})


def test_counts_start_at_one():
    with pytest.raises(SettingsError, match="shots"):
        Episodes(domain(), shots=0)


def test_labels_are_needed():
    with pytest.raises(DataError, match="--label"):
        Episodes(domain().sealed(), ways=2)
