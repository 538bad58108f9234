"""TF-IDF of words and bigrams: the plain text baseline that every text method has to beat."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from torch import Tensor

from acclimate.backbones.base import Identity, Spec
from acclimate.backbones.parts import Parts, of_words
from acclimate.backbones.passthrough import csr_tensor
from acclimate.backbones.text import readable
from acclimate.domains.domain import Domain, Modality
from acclimate.errors import DataError, SettingsError
from acclimate.settings import as_dict, build

_CHARACTERS = 200_000  # of a text that are read: about 35,000 words; more is noise in a document vector
_READ = 4096


@dataclass(frozen=True)
class Settings:
    """Word n-grams up to ``longest`` that occur in at least ``min_df`` texts, with logarithmic counts.

    Where no n-gram does, all are taken.
    """

    longest: int = 2
    min_df: int = 2
    max_features: int | None = None


class Ngrams(Identity):
    """scikit-learn's `TfidfVectorizer`, fitted on the source texts. Its features ``tfidf`` are sparse.

    Logarithmic counts and ``min_df=2`` are at least as good as the defaults from products to films.
    """

    kind = "ngrams"

    def __init__(self, settings: Settings):
        super().__init__()
        if settings.longest < 1 or settings.min_df < 1:
            raise SettingsError("backbone: longest and min_df must be at least 1")
        self.settings = settings
        self.spec = Spec("ngrams", "text", {"tfidf": 0}, "tfidf", pretrained=True, trainable=False, sparse=True)
        self._vectorizer: Any = None

    def fit(self, domain: Domain) -> None:
        """Learn the vocabulary and the document frequencies.

        Raises:
            DataError: no text contains a word.
        """
        found = ""
        for min_df in (min(self.settings.min_df, len(domain)), 1):  # 1 where texts share no word
            vectorizer = self._new(min_df=min_df, max_features=self.settings.max_features)
            try:
                return self._set(vectorizer.fit(_texts(domain)))
            except ValueError as error:
                found = str(error)
        raise DataError(f"{domain.name}: no vocabulary can be learned: {found}")

    def features_sparse(self, raw: Sequence[str]) -> sparse.csr_matrix:
        """TF-IDF vectors ``[n, vocabulary]`` of Euclidean length 1 (0 for a text without known words)."""
        if self._vectorizer is None:
            raise DataError("ngrams has no vocabulary yet: call fit(domain) first")
        return self._vectorizer.transform(readable(raw, _CHARACTERS))

    def collate(self, raw: Sequence[str], *, training: bool = False, rng: np.random.Generator | None = None) -> Tensor:
        return csr_tensor(self.features_sparse(raw))

    def parts(self, raw: Sequence[str]) -> Parts:
        """Words."""
        return of_words(raw[0], self.collate)

    def config(self) -> dict[str, Any]:
        return {"kind": self.kind, "settings": as_dict(self.settings)}

    def assets(self, folder: Path) -> None:
        terms = [str(term) for term in self._vectorizer.get_feature_names_out()]
        (folder / "ngrams.json").write_text(json.dumps(terms, ensure_ascii=False), encoding="utf-8")
        np.save(folder / "ngrams_idf.npy", self._vectorizer.idf_, allow_pickle=False)

    def cache_key(self) -> str:
        digest = blake2b(json.dumps(self.config(), sort_keys=True).encode(), digest_size=16)
        digest.update("\0".join(self._vectorizer.get_feature_names_out()).encode())
        digest.update(self._vectorizer.idf_.tobytes())
        return digest.hexdigest()

    def _new(self, **options: Any) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(ngram_range=(1, self.settings.longest), sublinear_tf=True, **options)

    def _set(self, vectorizer: Any) -> None:
        self._vectorizer = vectorizer
        self.spec = replace(self.spec, layers={"tfidf": len(vectorizer.idf_)})


def _texts(domain: Domain) -> Iterator[str]:
    order = domain.order
    for start in range(0, len(order), _READ):
        yield from readable(domain.rows.take(order[start : start + _READ]), _CHARACTERS)


def create(name: str, modality: Modality, settings: Settings, seed: int) -> Ngrams:
    """Without a vocabulary: `Ngrams.fit` learns it."""
    return Ngrams(settings)


def restore(config: Mapping[str, Any], folder: Path) -> Ngrams:
    """From `Ngrams.config` and its vocabulary files."""
    backbone = Ngrams(build(Settings, config["settings"], "backbone"))
    try:
        terms = json.loads((folder / "ngrams.json").read_text(encoding="utf-8"))
        vectorizer = backbone._new(vocabulary=terms)
        vectorizer.idf_ = np.load(folder / "ngrams_idf.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: the vocabulary of the n-grams is broken: {error}") from None
    backbone._set(vectorizer)
    return backbone
