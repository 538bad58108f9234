"""Taking classes out of a trained model."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import nn

from acclimate.errors import SettingsError
from acclimate.training.model import Model


def forget(model: Model, names: Collection[str], offsets: Sequence[float] = ()) -> tuple[float, ...]:
    """Remove the rows of these classes from a model's head, in place; returns the offsets that are left.

    What the model then says is what it said before, given that it is none of them: logits of the other classes are
    as they were. Only weights that belong to one class alone are removed; what the network below has learned of them
    stays, and `residue.told` measures it.

    **Helps** to hand on a model without the names and weights of classes that only its source had. **Hurts** where rows
    of these classes still come: each is taken for another class.

    Raises:
        SettingsError: a task without classes, unknown names, fewer than two left, or a head that is not linear.
    """
    task = model.task.without(names)
    head = model.head
    if type(head) is not nn.Linear:
        raise SettingsError("classes can be taken out of a linear head alone, and this model has another, as a forest")
    kept = [k for k, name in enumerate(model.task.possible) if name not in names]
    smaller = nn.Linear(head.in_features, len(kept), bias=head.bias is not None)
    with torch.no_grad():
        smaller.weight.copy_(head.weight[kept])
        if head.bias is not None:
            smaller.bias.copy_(head.bias[kept])
    model.task, model.head = task, smaller.to(head.weight.device).eval()
    return tuple(offsets[k] for k in kept) if len(offsets) else ()
