import torch
from torch.nn import functional as F

from acclimate.methods.few_shot.base import centred
from acclimate.methods.few_shot.span import products


def test_products_are_those_of_centred_rows_of_length_1():
    draw = torch.Generator().manual_seed(0)
    support, query = torch.randn(3, 6, 9, generator=draw) + 2, torch.randn(3, 4, 9, generator=draw)
    known = torch.rand(3, 6, generator=draw) < 0.7
    for mask in (None, known):
        rows, others = (F.normalize(part, dim=-1) for part in centred(support, query, mask))
        gram, cross = products(support, query, mask)
        torch.testing.assert_close(gram, rows @ rows.mT, atol=1e-5, rtol=0)
        torch.testing.assert_close(cross, others @ rows.mT, atol=1e-5, rtol=0)


def test_folds_are_worked_out_as_if_each_had_rows_of_its_own():
    rows = torch.randn(1, 5, 7, generator=torch.Generator().manual_seed(0))
    folds = rows.expand(5, -1, -1)
    known = ~torch.eye(5, dtype=torch.bool)
    for views, own in zip(products(folds, folds, known), products(folds.clone(), folds.clone(), known), strict=True):
        torch.testing.assert_close(views, own, atol=1e-5, rtol=0)


def test_a_row_that_is_the_mean_has_no_direction():
    support = torch.tensor([[[0.6, 0.8], [0.6, -0.8], [2.0, 0.0]]])
    known = torch.tensor([[True, True, False]])  # their mean is (0.6, 0)
    gram, cross = products(support, torch.tensor([[[7.0, 0.0]]]), known)
    torch.testing.assert_close(gram[0], torch.tensor([[1.0, -1, 0], [-1, 1, 0], [0, 0, 1]]))
    torch.testing.assert_close(cross[0], torch.tensor([[0.0, 0, 1]]))
    same = torch.full((1, 4, 3), 0.3)
    assert all((part == 0).all() for part in products(same, same))
