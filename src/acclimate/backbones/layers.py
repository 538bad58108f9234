"""Features from any named layer of a network, by forward hooks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from acclimate.backbones.base import Backbone
from acclimate.errors import SettingsError, unknown


class _EnoughError(Exception):
    """Everything that was asked for is there: the rest of the network need not run."""


@contextmanager
def watching(network: nn.Module, names: Iterable[str], stop: bool) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of named submodules while the block runs the network.

    A module that is called several times gives its first output. With ``stop`` the network is left as
    soon as all outputs are there.
    """
    taken: dict[str, Tensor] = {}
    wanted = list(dict.fromkeys(names))

    def hook(name: str) -> Any:
        def keep(module: nn.Module, args: Any, output: Any) -> None:
            taken.setdefault(name, first_tensor(output))
            if stop and len(taken) == len(wanted):
                raise _EnoughError

        return keep

    handles = [network.get_submodule(name).register_forward_hook(hook(name)) for name in wanted]
    try:
        yield taken
    except _EnoughError:
        return
    finally:
        for handle in handles:
            handle.remove()


def first_tensor(output: Any) -> Tensor:
    """The tensor itself, or the first one in a tuple, mapping or model output."""
    while not isinstance(output, Tensor):
        output = next(iter(output.values())) if isinstance(output, Mapping) else output[0]
    return output


def move(inputs: Any, device: torch.device | str) -> Any:
    """A tensor, or a mapping of tensors, on a device."""
    if isinstance(inputs, Mapping):
        return {key: value.to(device) for key, value in inputs.items()}
    return inputs.to(device)


def pool(output: Tensor, mask: Tensor | None = None) -> Tensor:
    """One float32 vector a row: the mean over places.

    ``[n, c, h, w]`` -> ``[n, c]``; ``[n, t, d]`` -> ``[n, d]`` over the places where ``mask`` ``[n, t]`` is
    one; ``[n, d]`` stays.
    """
    output = output.float()
    if output.ndim == 4:
        return output.mean(dim=(2, 3))
    if output.ndim == 3 and mask is not None:
        weight = mask.unsqueeze(-1).to(output.dtype)
        return (output * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)
    return output.mean(dim=1) if output.ndim == 3 else output.flatten(1)


class LayeredBackbone(Backbone):
    """A backbone around one ``network``, whose layers are outputs of its submodules.

    Attributes:
        places: layer name -> dotted name of the submodule, input side first. The empty name is the
            network's own output. Beside these standard layers, any dotted submodule name is a layer.
    """

    network: nn.Module
    places: Mapping[str, str]

    @abstractmethod
    def example(self) -> Any:
        """Collated inputs of one row, by which the sizes of layers are found."""

    def run(self, inputs: Any) -> Any:
        """Run the network and return its output."""
        return self.network(inputs)

    def pool(self, output: Tensor, inputs: Any) -> Tensor:
        """A layer's output as one vector a row."""
        return pool(output)

    def forward(self, inputs: Any, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        asked = {layer: self._place(layer) for layer in (layers or [self.spec.default])}
        inner = [place for place in asked.values() if place]
        if not inner:  # hooks cost time
            output = first_tensor(self.run(inputs))
            return {layer: self.pool(output, inputs) for layer in asked}
        last = None
        with watching(self.network, inner, stop=len(inner) == len(asked)) as taken:
            last = self.run(inputs)
        if unseen := [layer for layer, place in asked.items() if place and place not in taken]:
            raise SettingsError(
                f"layer '{unseen[0]}' of {self.spec.name} gives no output: the network never calls that module itself "
                "(a list of blocks, for example); name one inside it"
            )
        return {
            layer: self.pool(taken[place] if place else first_tensor(last), inputs) for layer, place in asked.items()
        }

    def check_layer(self, layer: str | None) -> str:
        self._place(layer or self.spec.default)
        return layer or self.spec.default

    def size(self, layer: str | None = None) -> int:
        layer = self.check_layer(layer)
        return self.spec.layers[layer] if layer in self.spec.layers else self.measure([layer])[layer]

    def measure(self, layers: Sequence[str]) -> dict[str, int]:
        """Widths of layers, found by running the `example`."""
        was_training = self.training
        self.eval()
        with torch.no_grad():
            features = self(move(self.example(), self.device), list(layers))
        self.train(was_training)
        return {layer: int(value.shape[-1]) for layer, value in features.items()}

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def layer_names(self) -> Iterable[str]:
        """Names of the submodules that may be layers beside the standard ones."""
        return (name for name, _ in self.network.named_modules() if name)

    def lora_targets(self) -> list[str]:
        """Linear layers, and plain convolutions that are not depthwise."""
        return [
            name
            for name, module in self.named_modules()
            if isinstance(module, nn.Linear) or (type(module) is nn.Conv2d and module.groups == 1)
        ]

    def _place(self, layer: str) -> str:
        if layer in self.places:
            return self.places[layer]
        inner = list(self.layer_names())
        if layer in inner:
            return layer
        known = [*self.places, *inner] if "." in layer else list(self.places)
        hint = "any module name inside the network works too"
        raise SettingsError(f"{unknown(f'layer of {self.spec.name}', layer, known)}; {hint}")


def blocks_by_prefix(network: nn.Module, prefixes: Sequence[str]) -> list[list[nn.Parameter]]:
    """All parameters grouped by dotted prefix, in the order given; what none covers joins the last block."""
    blocks: list[list[nn.Parameter]] = [[] for _ in prefixes]
    for name, parameter in network.named_parameters():
        owner = next((k for k, prefix in enumerate(prefixes) if name.startswith(prefix + ".")), len(prefixes) - 1)
        blocks[owner].append(parameter)
    return [block for block in blocks if block]


def image_layout(network: nn.Module) -> torch.memory_format:
    """Memory format in which a network reads images: channels_last is 1.5 times as fast on a CPU.

    A strided 1 x 1 convolution of fewer than 16 channels keeps the usual format: in channels_last its
    backward pass corrupts memory on CPUs (torch 2.13).
    """
    pointwise = (m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1))
    narrow = any(m.in_channels < 16 and m.stride != (1, 1) for m in pointwise)
    return torch.contiguous_format if narrow else torch.channels_last


def ignore_last(layer: nn.Module, count: int) -> None:
    """Give a linear layer zero weights for its last ``count`` inputs; any other module is left as it is."""
    if count and isinstance(layer, nn.Linear):
        with torch.no_grad():
            layer.weight[:, -count:] = 0
