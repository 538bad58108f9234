"""What a backbone is: a network that turns raw inputs into named features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from acclimate.backbones.hashing import weights_key
from acclimate.backbones.parts import Parts
from acclimate.backbones.writer import Writer
from acclimate.domains.domain import Domain, Modality, Rows
from acclimate.errors import SettingsError, unknown


@dataclass(frozen=True)
class Spec:
    """What others need to know of a backbone.

    Attributes:
        name: the name it is created by ("minilm").
        modality: what it reads.
        layers: size of each named feature layer, input side first.
        default: the layer that heads read unless told otherwise.
        pretrained: whether its weights carry knowledge; frozen features need that.
        trainable: whether its parameters can be trained at all (n-grams cannot).
        learning_rate: a sound AdamW rate for training all of it.
        training: other settings of the loop that suit it better than their defaults.
        idle: by layer, how many of its last features are zero in every row that `Backbone.fit` saw, since only the
            rows of `Backbone.link` have them: what reads them starts with zero weights there.
        maps: after `Backbone.read_maps`, the width of each feature map by its stride in pixels, finest first.
        sparse: its features are `torch.sparse_csr` tensors (`nn.Linear` takes them as they are).
    """

    name: str
    modality: Modality
    layers: Mapping[str, int]
    default: str
    pretrained: bool
    trainable: bool = True
    learning_rate: float = 1e-3
    training: Mapping[str, float] = field(default_factory=dict)
    sparse: bool = False
    idle: Mapping[str, int] = field(default_factory=dict)
    maps: Mapping[int, int] = field(default_factory=dict)


class Backbone(nn.Module):
    """Base of all backbones. A subclass sets ``spec`` and ``settings`` (a frozen dataclass).

    The way of a datum: ``rows.take(index)`` -> raw -> ``collate`` -> inputs -> ``forward`` -> features.
    The module of a subclass has a function ``restore(config, folder)`` that rebuilds the same
    architecture from `config` and `assets`; the caller loads the weights.
    """

    spec: Spec
    settings: Any
    kind: ClassVar[str]
    """The module of this package whose ``restore`` loads a saved folder."""

    @property
    def links(self) -> bool:
        """Whether it can read rows of two domains whose columns differ."""
        return False

    @property
    def learns(self) -> bool:
        """Whether `fit` takes statistics of rows: a vocabulary, means."""
        return type(self).fit is not Backbone.fit

    @property
    def steady(self) -> bool:
        """Whether `collate` gives a row the same dense numbers each time, beside whichever rows: they can be kept."""
        return False

    def fit(self, domain: Domain) -> None:
        """Learn the preprocessing (vocabulary, column statistics) from inputs; most have nothing to learn."""

    def link(self, domain: Domain) -> None:
        """After `fit`: read also rows of another domain that has other columns, by an encoder of its own.

        Raises:
            SettingsError: this backbone reads one kind of row only (``links`` is False).
        """
        raise SettingsError(f"backbone '{self.spec.name}' reads one kind of row only; mlp and columns can read two")

    @abstractmethod
    def collate(self, raw: Any, *, training: bool = False, rng: np.random.Generator | None = None) -> Any:
        """Raw inputs to one tensor, or a mapping of tensors, whose first dimension is the row.

        ``training`` allows augmentation, drawn from ``rng``.
        """

    @abstractmethod
    def forward(self, inputs: Any, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Pooled features ``[n, size]`` of the layers asked for (the default one if None)."""

    def read_units(self) -> None:
        """From now on, give the features of each unit ``[n, t, size]``, as of each token.

        Of an encoder of texts, rows are then a question, a line break and a text, and inputs hold ``places``, see
        `Units`; of an encoder-decoder and of sounds they are what they were.

        Raises:
            SettingsError: this backbone gives one vector a row.
        """
        raise SettingsError(
            f"backbone '{self.spec.name}' gives one vector a row, and this task asks about places in a text; "
            "take minilm or another transformers text encoder"
        )

    def read_words(self) -> None:
        """From now on, give the features of each word of a text, ``[n, w, size]``, and in the inputs their ``places``.

        Raises:
            SettingsError: this backbone knows no words.
        """
        raise SettingsError(
            f"backbone '{self.spec.name}' does not tell words apart, and this task asks about each; take minilm or "
            "another transformers text encoder"
        )

    def read_maps(self) -> None:
        """From now on, read whole images on a canvas; inputs are ``pixels`` and the ``frame`` of each image
        (`acclimate.domains.canvas`), and `maps` gives their features.

        Raises:
            SettingsError: this backbone has no maps.
        """
        raise SettingsError(
            f"backbone '{self.spec.name}' gives no maps of places, and this task asks where things are in an image; "
            "take mobilenet_v2, efficientnet_lite0 or another convolutional network"
        )

    def maps(self, inputs: Any) -> tuple[Tensor, ...]:
        """Feature maps ``[n, width, h, w]`` by `Spec.maps`, finest first, after `read_maps`."""
        raise SettingsError(f"backbone '{self.spec.name}' gives no maps of places")

    def mask(self, inputs: Any, values: Tensor) -> Tensor:
        """Where units ``values`` ``[n, t, d]`` of inputs are a row's own, ``[n, t]`` bool."""
        return inputs["attention_mask"].bool()

    def writer(self) -> Writer:
        """What writes a text for each row out of the units that `forward` gives after `read_units`.

        Raises:
            SettingsError: this backbone writes nothing.
        """
        raise SettingsError(
            f"backbone '{self.spec.name}' writes no texts; take an encoder-decoder of transformers, from its folder or "
            "as hf:NAME"
        )

    def finder(self, kinds: Sequence[str]) -> nn.Module:
        """What finds objects of these kinds in images, where the backbone is a detector.

        Raises:
            SettingsError: it is none.
        """
        raise SettingsError(
            f"backbone '{self.spec.name}' is no detector; take RT-DETR, D-FINE, YOLOS or another of transformers, "
            "from its folder or as hf:NAME"
        )

    def parts(self, raw: Any) -> Parts:
        """The parts of the only row of raw inputs, by which an answer is explained; in eval mode.

        Raises:
            SettingsError: this backbone does not know any.
        """
        raise SettingsError(
            f"backbone '{self.spec.name}' does not say what the parts of a row are, so that answers of models on it "
            "cannot be explained"
        )

    def lengths(self, rows: Rows) -> np.ndarray | None:
        """A length per row by which batches are bucketed, None where all rows cost the same."""
        return None

    def blocks(self) -> list[list[nn.Parameter]]:
        """All trainable parameters in blocks, input side first, for unfreezing and layer-wise rates."""
        return [list(self.parameters())]

    def fresh(self) -> list[nn.Parameter]:
        """Those of its parameters that learn as a new head does, also beside adapters; most have none."""
        return []

    def lora_targets(self) -> list[str]:
        """Names of the modules that LoRA may adapt."""
        return [name for name, module in self.named_modules() if isinstance(module, nn.Linear)]

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """JSON that, with the weights and `assets`, rebuilds this backbone offline."""

    def assets(self, folder: Path) -> None:
        """Write what is neither weight nor config (tokenizer files, vocabularies) into ``folder``."""

    def cache_key(self) -> str:
        """Hash of weights and preprocessing: equal keys give equal features."""
        return weights_key(self, self.config())

    def check_layer(self, layer: str | None) -> str:
        """The layer's name, the default for None.

        Raises:
            SettingsError: no such layer; names the nearest.
        """
        if layer is None:
            return self.spec.default
        if layer not in self.spec.layers:
            raise SettingsError(unknown(f"layer of {self.spec.name}", layer, self.spec.layers))
        return layer

    def size(self, layer: str | None = None) -> int:
        """Width of a layer's features; `check_layer` says which layers there are."""
        return self.spec.layers[self.check_layer(layer)]


class Identity(Backbone):
    """A backbone whose features are its collated inputs: nothing is left to compute."""

    def forward(self, inputs: Any, layers: Sequence[str] | None = None) -> dict[str, Tensor]:
        return {self.check_layer(layer): inputs for layer in (layers or [self.spec.default])}
