"""Episodes: what is drawn, how evenly, and that it can be drawn again."""

from dataclasses import replace

import numpy as np
import pytest

from acclimate.domains.episodes import Episodes, allotted, distinct
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
    assert (drawn.support_way == [0, 0, 1, 1, 2, 2]).all()
    assert (drawn.query_way == np.repeat([0, 1, 2], 5)).all()
    rows = np.concatenate([drawn.support.reshape(200, 3, 2), drawn.query.reshape(200, 3, 5)], axis=2)
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
        assert list(made.labels[support]) == ["no"] * 3 + ["yes"] * 3
    assert len({made.groups[row] for row in drawn.support[:, 0]}) == 4


def test_a_group_of_numbers_is_one_pool():
    made = replace(domain((20, 20)), groups=np.repeat(np.array(["x", "y"], dtype=object), 20))
    drawn = Episodes(made, ways=1, shots=5, queries=10, groups="tasks").draw(0, 30)
    assert drawn.support.shape == (30, 5)
    for support, query in zip(drawn.support, drawn.query, strict=True):
        assert len(set(made.groups[support.ravel()]) | set(made.groups[query.ravel()])) == 1


def test_a_group_that_lacks_a_class_is_no_task():
    labels = np.array(["a", "b"] * 20 + ["b"] * 20)
    made = replace(
        read((np.arange(120, dtype=np.float32).reshape(-1, 2), labels), label=True),
        groups=np.repeat(np.array(["whole", "lacking"], dtype=object), [40, 20]),
    )
    drawn = Episodes(made, ways=2, shots=1, queries=2, groups="tasks").draw(0, 20)
    assert set(made.groups[drawn.support.ravel()]) == {"whole"}
    with pytest.raises(DataError, match="ways is 2"):
        Episodes(made, ways=3, shots=1, queries=2, groups="tasks")
    natural = Episodes(made, ways=1, shots=4, queries=2, groups="tasks").draw(0, 200)
    assert set(made.groups[natural.support.ravel()]) == {"whole", "lacking"}
    counts = [(made.labels[support] == "a").sum() for support in natural.support]
    assert len(set(counts)) > 2  # drawn whatever the label


def test_ways_and_shots_may_vary_from_block_to_block():
    whole = domain((8, 9, 10, 11, 30, 40, 50, 60))
    episodes = Episodes(whole, ways=(3, 6), shots=(1, 6), queries=4, block=5)
    seen = set()
    for block in range(40):
        drawn = episodes.draw(block * 5, 5)
        for support, way, query, pools in zip(drawn.support, drawn.support_way, drawn.query, drawn.pools, strict=True):
            counts = np.bincount(way, minlength=len(pools))
            seen.add((len(pools), len(way), len(set(counts)) > 1))
            assert counts.min() >= 1
            assert len({*support, *query}) == len(support) + len(query)
            names = [episodes.pools.names[pool][1] for pool in pools]
            assert list(whole.labels[support]) == [names[k] for k in way]
            assert list(whole.labels[query]) == [name for name in names for _ in range(4)]
    assert {ways for ways, *_ in seen} == {3, 4, 5, 6}
    assert len({rows for _, rows, _ in seen}) > 5
    assert {uneven for *_, uneven in seen} == {True, False}
    again = replace(episodes).draw(35, 5)
    assert np.array_equal(again.support, episodes.draw(35, 5).support)


def test_seats_by_highest_averages():
    seats = allotted(np.array([[100.0, 80.0, 30.0, 20.0], [1, 1, 1, 50]]), 8, np.array([[9, 9, 9, 9], [9, 9, 9, 2]]))
    # After one each: 100 / 2, 80 / 2, 100 / 3 and 80 / 3 are the highest averages.
    assert seats.tolist() == [[3, 3, 1, 1], [2, 2, 2, 2]]
    assert seats.sum(1).tolist() == [8, 8]


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
        ({"shots": (9, 12)}, "with 13 rows each"),
    ],
)
def test_what_cannot_be_drawn_is_told(how, words):
    with pytest.raises(DataError, match=words):
        Episodes(domain(), **{"ways": 3, "shots": 1, "queries": 4, **how})


def test_counts_start_at_one():
    for shots in (0, (3, 2)):
        with pytest.raises(SettingsError, match="shots"):
            Episodes(domain(), shots=shots)


def test_labels_are_needed():
    with pytest.raises(DataError, match="--label"):
        Episodes(domain().sealed(), ways=2)
