"""The classic adversarial program: a feature extractor and a domain discriminator that take turns.

Each has its own Adam. The discriminator learns to tell the domains apart from features that it may not change;
then extractor and classifier learn the task and to be mistaken for the other domain. The second loss has the
domains' labels swapped, not the first one's with a minus sign: where the discriminator is sure, the gradient of
the negated loss vanishes and that of the swapped one does not (Tzeng et al., ADDA, CVPR 2017, eq. 7).

    python examples/alternating_two_optimizers.py
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from acclimate.domains.sample import toy_shift
from acclimate.methods import domain_loss, ganin_schedule

WIDTH = 32


class FeatureExtractor(nn.Module):
    """Points ``[n, 2]`` to features ``[n, WIDTH]``."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())

    def forward(self, points: Tensor) -> Tensor:
        return self.layers(points)


class DomainDiscriminator(nn.Module):
    """Features ``[n, WIDTH]`` to logits ``[n, 1]``: above 0 says target."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


def train(source: TensorDataset, target: TensorDataset, epochs: int, adversarial: bool) -> nn.Module:
    """Extractor and classifier, trained against a discriminator if ``adversarial``."""
    extractor, classifier, discriminator = FeatureExtractor(), nn.Linear(WIDTH, 2), DomainDiscriminator()
    optimizer_f = optim.Adam([*extractor.parameters(), *classifier.parameters()], lr=1e-3)
    optimizer_d = optim.Adam(discriminator.parameters(), lr=1e-3)
    sources = DataLoader(source, batch_size=64, shuffle=True, drop_last=True)
    targets = DataLoader(target, batch_size=64, shuffle=True, drop_last=True)
    for epoch in range(epochs):
        strength = ganin_schedule(epoch / epochs) if adversarial else 0.0
        for (points, labels), (others,) in zip(sources, targets, strict=False):
            here, there = extractor(points), extractor(others)

            optimizer_d.zero_grad()
            loss_d = domain_loss(discriminator, here.detach(), there.detach())
            loss_d.backward()
            optimizer_d.step()

            optimizer_f.zero_grad()
            loss_f = cross_entropy(classifier(here), labels) + strength * domain_loss(discriminator, there, here)
            loss_f.backward()
            optimizer_f.step()
    return nn.Sequential(extractor, classifier)


def main(seed: int = 0, epochs: int = 150) -> dict[str, float]:
    """Accuracy on the target with and without the game."""
    labelled, unlabelled, answers = toy_shift(400, seed)
    points, others = (torch.from_numpy(d.rows.take(np.arange(len(d)))) for d in (labelled, unlabelled))
    labels, truth = (torch.from_numpy(values.astype(int)) for values in (labelled.labels, answers))
    accuracy = {}
    for name, adversarial in (("source only", False), ("adversarial", True)):
        torch.manual_seed(seed)
        model = train(TensorDataset(points, labels), TensorDataset(others), epochs, adversarial)
        accuracy[name] = (model(others).argmax(1) == truth).float().mean().item()
        print(f"{name:12s} {accuracy[name]:.3f} of the target right")
    return accuracy


if __name__ == "__main__":
    main()
