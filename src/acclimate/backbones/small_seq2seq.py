"""A small encoder-decoder from scratch, for texts that are written from texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from acclimate.backbones.text import readable
from acclimate.backbones.transformers_seq2seq import Seq2Seq
from acclimate.backbones.transformers_seq2seq import Settings as Reading
from acclimate.domains.domain import Domain, Modality
from acclimate.domains.rows import texts_of
from acclimate.errors import DataError, SettingsError

PAD, END = "<pad>", "</s>"
FIRST, LATER = 2e-3, 3e-4
"""Learning rates of width 128 from scratch, and of a network that was trained before."""
TRAINING = {"batch_size": 64, "epochs": 20.0, "warmup": 0.1}


@dataclass(frozen=True)
class Settings:
    """The size of the network, and how texts are read and written.

    Attributes:
        width: of its layers.
        layers: of the encoder, and as many of the decoder.
        heads: of each attention; they share the width.
        hidden: units between two layers.
        dropout: share of what each layer says that is dropped while training.
        vocabulary: tokens that are learned at most, of both languages together; 258 are the bytes and two marks.
        max_length: tokens that are read of each text, and written at most.
        beams: how many texts are followed at a time while writing; 1 takes the likeliest token each time.
    """

    width: int = 128
    layers: int = 2
    heads: int = 4
    hidden: int = 512
    dropout: float = 0.1
    vocabulary: int = 4000
    max_length: int = 128
    beams: int = 1

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "hidden"):
            if getattr(self, name) < 1:
                raise SettingsError(f"backbone.{name} must be at least 1, found {getattr(self, name)}")
        if self.width % self.heads:
            raise SettingsError(f"backbone.width {self.width} cannot be shared by {self.heads} heads")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"backbone.dropout is a share from 0 to below 1, found {self.dropout}")
        if self.vocabulary < 258:
            raise SettingsError(f"backbone.vocabulary: at least 258, the bytes and two marks; found {self.vocabulary}")


class SmallSeq2Seq(Seq2Seq):
    """The transformer of Vaswani et al., NeurIPS 2017, small, with the embeddings of both sides and of what is written
    tied (section 3.4), and tokens of both languages together that `fit` learns: byte pairs (Sennrich et al., ACL 2016,
    section 3.2) of bytes, so that every text can be read and written. Places are sines, which go on beyond the longest
    text that was learned.

    Helps offline, where no pretrained network is at hand, with some 10,000 pairs or more. Hurts with few pairs, and
    with words that it never saw: it spells them, mostly wrong. Once trained it is a network of transformers (Marian)
    like others, also for a later run.
    """

    def __init__(self, settings: Settings, seed: int):
        self.shape, self.seed = settings, seed
        reading = Reading(max_length=settings.max_length, beams=settings.beams)
        tokenizer, rate = learn((), settings), FIRST * (128 / settings.width) ** 0.5  # section 5.3: slower where wider
        super().__init__("small_seq2seq", network(settings, len(tokenizer), seed), tokenizer, reading, rate)
        self.spec = replace(self.spec, pretrained=False, training=TRAINING)

    def fit(self, domain: Domain) -> None:
        """Learn the tokens from inputs and labels, and begin anew with a network for these."""
        labels = () if domain.labels is None else map(str, domain.labels)
        self.tokenizer = learn([*texts_of(domain.rows), *labels], self.shape)
        self.network = network(self.shape, len(self.tokenizer), self.seed)

    def config(self) -> dict[str, Any]:
        """That of a `Seq2Seq`, which it is from now on."""
        return {**super().config(), "learning_rate": LATER}


def learn(texts: Iterable[str], settings: Settings) -> Any:
    """A tokenizer of byte pairs that are frequent in these texts, whatever their order."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=True)
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = byte_level
    found.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    found.train_from_iterator(
        readable(texts, settings.max_length * 20),
        trainers.BpeTrainer(
            vocab_size=settings.vocabulary,
            min_frequency=2,
            special_tokens=[PAD, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    found.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=found, pad_token=PAD, eos_token=END, model_max_length=settings.max_length
    )


def network(settings: Settings, tokens: int, seed: int) -> Any:
    """The network for so many tokens; its initial weights are a function of the seed alone."""
    from transformers import MarianConfig, MarianMTModel

    sides: dict[str, Any] = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (
            ("layers", settings.layers), ("attention_heads", settings.heads), ("ffn_dim", settings.hidden)
        )
    }  # fmt: skip
    config = MarianConfig(
        vocab_size=tokens, d_model=settings.width, dropout=settings.dropout, max_position_embeddings=1024,
        scale_embedding=True, init_std=settings.width**-0.5, activation_function="relu", pad_token_id=0,
        eos_token_id=1, forced_eos_token_id=None, decoder_start_token_id=0, **sides,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MarianMTModel(config).eval()


def create(name: str, modality: Modality, settings: Settings, seed: int) -> SmallSeq2Seq:
    """With initial weights that are a function of the seed alone.

    Raises:
        DataError: the rows are no texts.
    """
    if modality != "text":
        raise DataError(f"backbone '{name}' reads texts, and these rows are {modality}")
    return SmallSeq2Seq(settings, seed)
