"""What holds for every few-shot classifier."""

import pytest
import torch

from acclimate.errors import SettingsError
from acclimate.methods.few_shot.registry import LEVELS, create_level

WAYS = 3
OTHERS = [("adapter", {"rate": 0.3}), *((name, {"balanced": True}) for name in ("tim", "pt_map", "laplacian_shot"))]
every = pytest.mark.parametrize(
    "level", [create_level(*case) for case in [*((name, {}) for name in LEVELS), *OTHERS]], ids=str
)


def task(tasks=1, shots=4, queries=5, width=6, seed=0, noise=0.5):
    """Rows around the corners of a simplex; ``queries`` of each class in a row."""
    draw = torch.Generator().manual_seed(seed)
    means = torch.randn(tasks, WAYS, width, generator=draw) * 2

    def rows(count):
        targets = torch.arange(WAYS).repeat_interleave(count).expand(tasks, -1)
        values = means.repeat_interleave(count, 1)
        return values + noise * torch.randn(values.shape, generator=draw), targets

    return *rows(shots), *rows(queries)


def close(found, wanted):
    torch.testing.assert_close(found.softmax(-1), wanted.softmax(-1), atol=2e-3, rtol=0)


@every
def test_it_is_made_again_from_its_recipe(level):
    recipe = level.recipe()
    assert create_level(recipe.pop("name"), recipe) == level


@pytest.mark.parametrize("name", list(LEVELS))
def test_the_default_is_searched_first(name):
    level = create_level(name)
    for setting, values in level.search.items():
        assert getattr(level, setting) == values[0]
        assert len(set(values)) == len(values)
        assert [create_level(name, {setting: value}) for value in values]


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("prob", {}, "unknown few-shot classifier 'prob'; did you mean 'probe'"),
        ("probe", {"penality": 1}, "did you mean 'penalty'"),
        ("probe", {"penalty": 0}, "penalty must lie in"),
    ],
)
def test_what_does_not_exist_is_refused(name, settings, reason):
    with pytest.raises(SettingsError, match=reason):
        create_level(name, settings)


@every
@pytest.mark.parametrize("width", [2, 6, 50])
def test_it_tells_classes_apart(level, width):
    support, targets, query, answers = task(tasks=8, width=width, noise=0.1)
    found = level.logits(support, targets, query, WAYS)
    assert found.dtype == torch.float32 and not found.requires_grad
    assert (found.argmax(-1) == answers).float().mean() > 0.9


@every
def test_one_row_a_class_is_enough(level):
    support, targets, query, answers = task(tasks=8, shots=1, noise=0.1, width=20)
    found = level.logits(support, targets, query, WAYS)
    assert (found.argmax(-1) == answers).all()


@every
def test_a_row_that_is_not_known_is_as_if_it_were_not_there(level):
    support, targets, query, _ = task()
    known = torch.ones_like(targets, dtype=torch.bool)
    known[0, [1, 6]] = False
    kept = known[0].nonzero().squeeze(1)
    masked = level.logits(support, targets, query, WAYS, known)
    close(masked, level.logits(support[:, kept], targets[:, kept], query, WAYS))
    poisoned = torch.where(known.unsqueeze(-1), support, -support)
    close(masked, level.logits(poisoned, (targets + ~known) % WAYS, query, WAYS, known))
    assert not torch.allclose(masked, level.logits(support, targets, query, WAYS), atol=1e-2)


@every
def test_folds_of_one_task_are_tasks(level):
    support, targets, query, _ = task()
    count = support.shape[1]
    known = ~torch.eye(count, dtype=torch.bool)
    folds = level.logits(*(part.expand(count, *part.shape[1:]) for part in (support, targets, query)), WAYS, known)
    for fold in (0, 5, count - 1):
        close(folds[fold : fold + 1], level.logits(support, targets, query, WAYS, known[fold : fold + 1]))


@every
def test_a_task_is_answered_the_same_alone_and_among_others(level):
    support, targets, query, _ = task(tasks=5)
    together = level.logits(support, targets, query, WAYS)
    for i in range(5):
        close(together[i : i + 1], level.logits(*(p[i : i + 1] for p in (support, targets, query)), WAYS))


@every
def test_other_names_for_the_classes_change_nothing(level):
    support, targets, query, _ = task(tasks=2)
    order = torch.tensor([2, 0, 1])
    renamed = level.logits(support, order[targets], query, WAYS)
    close(renamed[..., order], level.logits(support, targets, query, WAYS))


@every
def test_the_order_of_rows_does_not_matter(level):
    support, targets, query, _ = task(tasks=2)
    draw = torch.Generator().manual_seed(1)
    mixed, asked = torch.randperm(support.shape[1], generator=draw), torch.randperm(query.shape[1], generator=draw)
    found = level.logits(support[:, mixed], targets[:, mixed], query[:, asked], WAYS)
    close(found, level.logits(support, targets, query, WAYS)[:, asked])


@every
def test_only_a_transductive_one_looks_at_the_other_queries(level):
    support, targets, query, _ = task(tasks=2, noise=1.5)
    alone = torch.cat([level.logits(support, targets, row, WAYS) for row in query.split(1, dim=1)], dim=1)
    together = level.logits(support, targets, query, WAYS)
    assert torch.allclose(alone.softmax(-1), together.softmax(-1), atol=1e-3) is not level.transductive


@every
def test_a_class_without_known_rows_is_never_the_answer(level):
    support, targets, query, _ = task(tasks=2)
    known = targets != 1
    found = level.logits(support, targets, query, WAYS, known)
    assert found[..., 1].isneginf().all()
    kept = known[0].nonzero().squeeze(1)
    two = level.logits(support[:, kept], targets[:, kept] // 2, query, 2)
    close(found[..., [0, 2]], two)


@every
def test_a_row_that_is_there_twice(level):
    support, targets, query, answers = task(tasks=4, shots=1, noise=0.1, width=20)
    twice = level.logits(support.repeat(1, 2, 1), targets.repeat(1, 2), query, WAYS)
    assert twice.isfinite().all()
    assert (twice.argmax(-1) == answers).all()


@every
def test_rows_without_content_have_finite_logits(level):
    support, targets, query, _ = task()
    for rows, asked in ((support * 0, query * 0), (support * 0 + 1, query * 0 + 1), (support, query * 0)):
        found = level.logits(rows, targets, asked, WAYS)
        assert found.isfinite().all()
    nothing = level.logits(support * 0, targets, query * 0, WAYS).softmax(-1)
    torch.testing.assert_close(nothing, torch.full_like(nothing, 1 / WAYS))


@every
def test_the_same_bits_twice(level):
    support, targets, query, _ = task(tasks=3)
    assert torch.equal(*(level.logits(support, targets, query, WAYS) for _ in range(2)))


@every
def test_nothing_asked_and_nothing_known(level):
    support, targets, query, _ = task(tasks=2)
    assert level.logits(support, targets, query[:, :0], WAYS).shape == (2, 0, WAYS)
    known = torch.zeros_like(targets, dtype=torch.bool)
    known[1] = True
    found = level.logits(support, targets, query, WAYS, known)
    assert found[0].isneginf().all()
    close(found[1:], level.logits(support[1:], targets[1:], query[1:], WAYS))
