"""Domain-adversarial training in one's own PyTorch loop, with Acclimate's pieces.

Two classes in the plane and two clues; in the target one clue has moved. A network trained on the source leans
on both clues and fails there; features that hide the domain must do without the one that moved.

    python examples/dann_in_plain_pytorch.py
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from acclimate.domains.sample import toy_shift
from acclimate.methods import discriminator, domain_loss, ganin_schedule, reverse

STEPS, BATCH, WIDTH = 1000, 64, 32


def train(source: Tensor, labels: Tensor, target: Tensor, largest: float, seed: int) -> nn.Module:
    """A classifier whose features hide the domain; ``largest`` = 0 is training on the source alone."""
    torch.manual_seed(seed)
    features = nn.Sequential(nn.Linear(2, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
    head, judge = nn.Linear(WIDTH, 2), discriminator(WIDTH, hidden=32)
    optimizer = torch.optim.Adam([*features.parameters(), *head.parameters(), *judge.parameters()], lr=3e-3)
    for step in range(STEPS):
        rows, others = torch.randint(len(source), (BATCH,)), torch.randint(len(target), (BATCH,))
        here, there = features(source[rows]), features(target[others])
        strength = largest * ganin_schedule(step / STEPS)
        loss = cross_entropy(head(here), labels[rows])
        loss = loss + domain_loss(judge, reverse(here, strength), reverse(there, strength))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return nn.Sequential(features, head)


def main(seed: int = 0) -> dict[str, float]:
    """Accuracy on the target of both classifiers."""
    labelled, unlabelled, answers = toy_shift(400, seed)
    source, target = (torch.from_numpy(d.rows.take(np.arange(len(d)))) for d in (labelled, unlabelled))
    labels, truth = (torch.from_numpy(values.astype(int)) for values in (labelled.labels, answers))
    accuracy = {}
    for name, largest in (("source only", 0.0), ("DANN", 1.0)):
        model = train(source, labels, target, largest, seed)
        accuracy[name] = (model(target).argmax(1) == truth).float().mean().item()
        print(f"{name:12s} {accuracy[name]:.3f} of the target right")
    return accuracy


if __name__ == "__main__":
    main()
