"""A row as parts: what an explanation gives a score each, and the row without some of them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

Form = Literal["words", "sentences", "columns", "interactions", "image", "spectrogram", "curves", "molecule"]
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
"""What lies between blanks; of scripts without blanks each character."""
GRID = 8
"""Patches of an image along each side."""


@dataclass(frozen=True)
class Smooth:
    """A row as numbers that the score can be differentiated by.

    Attributes:
        values: ``[1, ...]`` of the row.
        baseline: ``[1, ...]`` of the row without any of its parts.
        owner: the part of each number, of the shape of ``values[0]`` or of its first dimensions; -1 of none.
        inputs: numbers ``[k, ...]`` as collated inputs of k rows.
    """

    values: Tensor
    baseline: Tensor
    owner: Tensor
    inputs: Callable[[Tensor], Any]

    def summed(self, scores: np.ndarray, parts: int) -> np.ndarray:
        """Scores of the numbers, of the shape of ``values[0]``, added up by part ``[parts]``."""
        owner = self.owner.numpy()
        each = scores.reshape(*owner.shape, -1).sum(-1)
        return np.bincount(owner[owner >= 0], each[owner >= 0], parts)


@dataclass(frozen=True)
class Parts:
    """The parts of one row.

    Attributes:
        form: by which they are shown.
        names: of each part, for people.
        places: of each part where it lies, as JSON: characters ``[begin, end]`` of a text; ``[top, left, bottom,
            right]`` of an image in shares of its sides; ``[begin, end]`` in seconds of a sound, with the number of a
            band where there are bands; ``[begin, end, channel]`` in steps of a series; the number of an atom; a
            column's name.
        inputs: which parts are kept ``[k, parts]`` bool, as collated inputs of k versions of the row.
        smooth: what gradients are taken of; None where there are none.
        shown: what the page needs beside names and places, by form.
    """

    form: Form
    names: tuple[str, ...]
    places: tuple[Any, ...]
    inputs: Callable[[np.ndarray], Any]
    smooth: Smooth | None = None
    shown: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.names)


def of_numbers(
    form: Form,
    names: Sequence[str],
    places: Sequence[Any],
    values: Tensor,
    baseline: Tensor,
    owner: Tensor,
    *,
    inputs: Callable[[Tensor], Any] = lambda values: values,
    smooth: bool = True,
    shown: Mapping[str, Any] | None = None,
) -> Parts:
    """Parts of a row that is numbers ``[1, ...]``: a part that is left out takes its numbers from the baseline.

    Args:
        form: see `Parts`.
        names: see `Parts`.
        places: see `Parts`.
        values: see `Smooth`.
        baseline: see `Smooth`.
        owner: see `Smooth`.
        inputs: see `Smooth`.
        smooth: whether the network has gradients with respect to them.
        shown: see `Parts`.
    """
    shape = (*owner.shape, *([1] * (values.ndim - 1 - owner.ndim)))

    def without(kept: np.ndarray) -> Any:
        stays = torch.from_numpy(np.hstack([kept, np.ones((len(kept), 1), dtype=bool)]))[:, owner]  # -1: the last
        return inputs(torch.where(stays.reshape(len(kept), *shape), values, baseline))

    found = Smooth(values, baseline, owner, inputs) if smooth else None
    return Parts(form, tuple(names), tuple(places), without, found, shown or {})


def words_of(text: str) -> list[tuple[int, int]]:
    """Where the words of a text begin and end."""
    return [found.span() for found in WORD.finditer(text)]


def of_words(text: str, collate: Callable[[Sequence[str]], Any]) -> Parts:
    """Words, each left out of the text: for networks that know no tokens, or give no gradients."""
    spans = words_of(text)

    def without(kept: np.ndarray) -> Any:
        return collate([" ".join(text[a:b] for (a, b), stays in zip(spans, row, strict=True) if stays) for row in kept])

    return Parts("words", tuple(text[a:b] for a, b in spans), tuple(map(list, spans)), without, None, {"text": text})


def of_tokens(
    text: str, inputs: Mapping[str, Tensor], ends: Sequence[tuple[int, int]], tokenizer: Any, network: Any
) -> Parts:
    """Words of a text whose network reads tokens: the tokens of one that is left out are masks (or padding).

    Args:
        text: what the words are of.
        inputs: of one row, with ``input_ids`` ``[1, t]``.
        ends: where in the text each token begins and ends, of the first tokens; empty ones belong to no word.
        tokenizer: of transformers.
        network: likewise; gradients are taken of what its input embeddings say.
    """
    ids, spans = inputs["input_ids"][0].cpu(), words_of(text)
    begins = [begin for begin, _ in spans]
    owner = torch.full((len(ids),), -1, dtype=torch.int64)
    for k, (begin, end) in enumerate(ends):
        if end > begin:
            owner[k] = max(bisect_right(begins, end - 1) - 1, 0)  # a token may begin with the blank before its word
    hide = next(
        found
        for found in (tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id, 0)
        if found is not None
    )
    bare = torch.where(owner >= 0, torch.tensor(hide), ids)
    rest = {name: values for name, values in inputs.items() if name != "input_ids"}

    def with_rest(name: str, values: Tensor) -> dict[str, Tensor]:
        own = {key: value.to(values.device).expand(len(values), *value.shape[1:]) for key, value in rest.items()}
        return {name: values, **own}

    def without(kept: np.ndarray) -> dict[str, Tensor]:
        stays = torch.from_numpy(np.hstack([kept, np.ones((len(kept), 1), dtype=bool)]))[:, owner]
        return with_rest("input_ids", torch.where(stays, ids, bare))

    table = network.get_input_embeddings()
    with torch.no_grad():
        values, baseline = (table(each[None].to(table.weight.device)).cpu() for each in (ids, bare))
    smooth = Smooth(values, baseline, owner, lambda values: with_rest("inputs_embeds", values))
    names, places = tuple(text[a:b] for a, b in spans), tuple(map(list, spans))
    return Parts("words", names, places, without, smooth, {"text": text})


def of_pixels(
    pixels: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    inputs: Callable[[Tensor], Any] = lambda pixels: pixels,
    smooth: bool = True,
) -> Parts:
    """Square patches of an image as the network sees it ``[1, channels, side, side]``; without one, there is the
    image's mean colour.

    Args:
        pixels: normalised.
        mean: by which they were normalised, of values in 0..1.
        std: likewise.
        inputs: see `Smooth`.
        smooth: whether the network has gradients with respect to pixels.
    """
    channels, side = pixels.shape[1], pixels.shape[2]
    grid = min(GRID, side)
    of = torch.arange(side) * grid // side
    owner = (of[:, None] * grid + of).expand(channels, side, side)
    ends = [-(-k * side // grid) / side for k in range(grid + 1)]
    places = [[ends[r], ends[c], ends[r + 1], ends[c + 1]] for r in range(grid) for c in range(grid)]
    names = [f"row {r + 1}, column {c + 1}" for r in range(grid) for c in range(grid)]
    scale = (torch.tensor(values).reshape(-1, 1, 1) for values in (std, mean))
    seen = (pixels[0].float() * next(scale) + next(scale)).clamp(0, 1).mul(255).round().to(torch.uint8)
    baseline = pixels.mean(dim=(2, 3), keepdim=True).expand_as(pixels)
    shown = {"pixels": seen.permute(1, 2, 0).numpy(), "grid": grid}
    return of_numbers("image", names, places, pixels, baseline, owner, inputs=inputs, smooth=smooth, shown=shown)


def of_atoms(smiles: str, fragment: str, symbols: Sequence[str], inputs: Callable[[np.ndarray], Any]) -> Parts:
    """Atoms of a molecule.

    Args:
        smiles: of it.
        fragment: that is read of a salt (`acclimate.domains.molecules`).
        symbols: of its atoms, in RDKit's order.
        inputs: see `Parts`.
    """
    names = tuple(f"{symbol}{k + 1}" for k, symbol in enumerate(symbols))
    return Parts("molecule", names, tuple(range(len(names))), inputs, None, {"smiles": smiles, "fragment": fragment})
