"""From feature maps of several strides to one map of the finest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, cat, nn
from torch.nn import functional as F

WIDEST = 96
GROUPS = 8


def _block(wide: int, narrow: int) -> nn.Sequential:
    """Group norm looks at one image alone, so that source and target batches do not mix."""
    convolution = nn.Conv2d(wide, narrow, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(GROUPS, narrow), nn.ReLU())


class UNet(nn.Module):
    """The expanding half of a U-Net (Ronneberger et al., MICCAI 2015, figure 1) on any pyramid of maps.

    From the coarsest map on, what is there is enlarged to the next finer map (bilinear, in the place of a transposed
    convolution), joined with it, and filtered 3 x 3. It is 16 channels wide at stride 1 and 16 wider for each halving,
    96 at most.

    Args:
        widths: channels of the maps by stride, finest first.
        finest: the stride to end at; finer maps are not read.
    """

    def __init__(self, widths: Mapping[int, int], finest: int = 1):
        super().__init__()
        strides = sorted(stride for stride in widths if stride >= finest)
        inner = [min(WIDEST, 16 * (1 + round(math.log2(stride)))) for stride in strides]
        self.skipped = len(widths) - len(strides)
        self.start = _block(widths[strides[-1]], inner[-1])
        self.steps = nn.ModuleList(
            _block(inner[k + 1] + widths[strides[k]], inner[k]) for k in reversed(range(len(strides) - 1))
        )
        self.size = inner[0]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """``[n, size, h, w]`` at the finest stride."""
        *finer, coarsest = maps[self.skipped :]
        found = self.start(coarsest)
        for step, skip in zip(self.steps, reversed(finer), strict=True):
            enlarged = F.interpolate(found, size=skip.shape[2:], mode="bilinear", align_corners=False)
            found = step(cat([enlarged, skip], dim=1))
        return found
