"""SimCLR: two views of a row belong together, all other rows of the batch do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acclimate.backbones.base import Backbone
from acclimate.domains.augment import VIEWED, View
from acclimate.domains.batch import Batch
from acclimate.domains.domain import Modality
from acclimate.methods.pretrain.base import Pretraining
from acclimate.training.stage import Pass


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.5) -> Tensor:
    """The normalised, temperature-scaled cross-entropy of finding a row's other view among all views of the batch.

    ``1/2n sum_i -log( exp(s_ij / T) / sum_{k != i} exp(s_ik / T) )`` with the cosine s, over the 2n views i, where j
    is the other view of the same row. At chance it is ``log(2n - 1)``. Chen et al., A Simple Framework for
    Contrastive Learning of Visual Representations, ICML 2020, eq. 1.

    Args:
        first: ``[n, d]`` projections of one view of each row.
        second: ``[n, d]`` projections of the other view of the same rows.
        temperature: T.
    """
    count = len(first)
    unit = F.normalize(torch.cat([first, second]).float(), dim=1)
    own = torch.eye(2 * count, dtype=torch.bool, device=unit.device)
    similar = (unit @ unit.T / temperature).masked_fill(own, -torch.inf)
    return F.cross_entropy(similar, torch.arange(2 * count, device=unit.device).roll(count))


@dataclass(frozen=True)
class SimCLR(Pretraining):
    """Features in which two changed looks of a row are near each other and far from all other rows' looks.

    ``L = nt_xent(g(f(v)), g(f(v')))`` with two strong views v and v' of each row (`acclimate.domains.augment`), the
    backbone f and a projection head g of one hidden layer, which is thrown away. Of each domain the loss is taken over
    its own rows: an encoder that is rewarded for telling domains apart is the last thing that adapting needs
    (in-domain instance discrimination, Kim et al., CDS, ICCV 2021).

    Helps when unlabelled rows are many, labels few, and what the views change (place, contrast, noise, dropped words
    or values) is what classes do not depend on; views that cross the gap between the domains pull them together (Shen
    et al., Connect, Not Collapse, ICML 2022). Hurts when views change the class (a digit that is turned, the one word
    that decides), when batches are small or full of near duplicates, which are pushed apart, and when little data are
    to improve a backbone that was trained on much: then it forgets more than it learns. Texts have weak views: try a
    temperature of 0.05 there (SimCSE, Gao et al., EMNLP 2021, whose noise is dropout).

    Related: MLM (for texts), FixMatch (the same views, taught by pseudo-labels), SCARF (Bahri et al., ICLR 2022: this
    loss on tables whose values are replaced by those of other rows, as our views of tables do).

    Chen, Kornblith, Norouzi and Hinton, A Simple Framework for Contrastive Learning of Visual Representations, ICML
    2020.

    Attributes:
        temperature: of the similarities (paper: 0.5 on CIFAR-10, 0.1 on ImageNet; search 0.05 to 1, its table 5).
        projection: width of the projection head's output (paper: 128; between 32 and 2048 it makes little
            difference, its figure 8).
    """

    temperature: float = 0.5
    projection: int = 128

    name: ClassVar[str] = "simclr"
    about: ClassVar[str] = "two views of a row near each other, far from other rows (Chen et al. 2020)"
    reads: ClassVar[tuple[Modality, ...]] = VIEWED
    loss_name: ClassVar[str] = "contrast"
    batch_size: ClassVar[int] = 128
    views: ClassVar[tuple[View, ...]] = ("strong", "second")
    ranges: ClassVar[Mapping[str, str]] = {"temperature": "(0, inf)", "projection": "[1, inf)"}

    def head(self, encoder: Backbone, size: int) -> nn.Module:
        """The projection head ``[n, size] -> [n, projection]``."""
        return nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, self.projection))

    def loss(self, step: Pass, batch: Batch) -> Tensor:
        """`nt_xent` of the batch's two views; each is run with dropout of its own."""
        first, second = (
            step.parts["head"](step.run(batch.views[view], view).sites["features"].values) for view in self.views
        )
        return nt_xent(first, second, self.temperature)
