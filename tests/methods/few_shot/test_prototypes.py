import torch

from acclimate.methods.few_shot.prototypes import Prototypes


def test_logits_by_hand():
    support = torch.tensor([[[3.0, 4.0], [2.4, -3.2]]])  # of length 1: (0.6, +-0.8), their mean is (0.6, 0)
    logits = Prototypes(scale=2).logits(support, torch.tensor([[0, 1]]), torch.tensor([[[0.0, 5.0]]]), 2)
    along = 1 / (1 + 0.6**2) ** 0.5  # (-0.6, 1), scaled to length 1, along (0, 1)
    assert torch.allclose(logits, torch.tensor([[[along, -along]]]))  # 2 * (1 - 1/2) * the cosine


def test_rows_that_are_not_known_play_no_part():
    draw = torch.Generator().manual_seed(0)
    support, query = torch.randn(1, 6, 4, generator=draw), torch.randn(1, 5, 4, generator=draw)
    targets, known = torch.tensor([[0, 1, 2, 0, 1, 2]]), torch.tensor([[True, True, True, True, False, True]])
    kept = known[0].nonzero().squeeze(1)
    masked = Prototypes().logits(support, targets, query, 3, known)
    assert torch.allclose(masked, Prototypes().logits(support[:, kept], targets[:, kept], query, 3), atol=1e-6)
    assert not torch.allclose(masked, Prototypes().logits(support, targets, query, 3))


def test_a_class_without_rows_is_never_the_answer():
    known = torch.tensor([[True, False]])
    logits = Prototypes().logits(torch.eye(2)[None], torch.tensor([[0, 1]]), torch.eye(2)[None], 2, known)
    assert logits[..., 1].isneginf().all()
    assert logits[..., 0].isfinite().all()
