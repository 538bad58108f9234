"""The cells: which domains, which protocol, development or test, what was published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import permutations
from typing import Any, Literal

Part = Literal["dev", "test"]
Kind = Literal["natural", "shares", "missing"]


@dataclass(frozen=True)
class Cell:
    """One pair of domains.

    Attributes:
        name: for files and tables.
        dataset: what is left out together when a rule is judged on development cells.
        modality: text, photos, digits, speech, sensors or tables.
        part: development or test; fixed when the cell was written.
        source: places of labelled rows (`places.read`).
        target: place of unlabelled rows.
        backbone: name and settings.
        kind: natural; shares: target rows drawn so that class shares are far from the source's; missing: half of the
            classes are not in the target.
        rows: most rows a domain, drawn by the cell's own seed.
        tune: frozen, or full for the cells that are trained end to end.
        training: settings of the loop where they are not the defaults.
        published: figures of others, with where they are from; not under this protocol unless it says so.
    """

    name: str
    dataset: str
    modality: str
    part: Part
    source: tuple[str, ...]
    target: str
    backbone: Mapping[str, Any]
    kind: Kind = "natural"
    rows: int = 1500
    tune: str = "frozen"
    training: Mapping[str, Any] = field(default_factory=dict)
    published: str = ""


MINILM = {"name": "minilm", "max_length": 192}
PHOTOS = {"name": "efficientnet_lite0"}
DIGITS = {"name": "efficientnet_lite0", "size": 64}
COLUMNS = {"name": "columns"}
SMALL = {"name": "small_cnn", "crop": "ink", "augment": "crop"}
PRODUCTS = ("books", "dvd", "electronics", "kitchen")
PACS = ("art_painting", "cartoon", "photo", "sketch")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "yweweler")
HOSPITALS = ("cleveland", "hungarian", "switzerland")
RARER, DECAY = 0.25, 0.6
DECAY_SENTENCE = (
    f"of the target's classes, in a random order, the k-th keeps {DECAY} to the power of k of its rows, and of two "
    f"classes one keeps {RARER:.0%}."
)
HATN = "HATN 86.6 (mean of 12 pairs, larger sample, trained end to end)"
DOMAINBED = "DomainBed ResNet-50 at 224 px, three sources: ERM 85.5, CORAL 86.2, DANN 83.6 (mean)"


def _text() -> Iterable[Cell]:
    review = "text/amazon4_blitzer_raw.jsonl.gz?domain={}"
    sentence = "text/sentiment_labelled_sentences.jsonl.gz?domain={}"
    movies = {
        "imdb": "text/imdb_2000.jsonl.gz",
        "polarity": "text/movie_polarity_v2.jsonl.gz",
        "rt": "text/movie_rt_sentences.jsonl.gz",
    }
    for one, two in permutations(PRODUCTS, 2):
        part: Part = "dev" if one in ("books", "electronics") else "test"
        yield Cell(f"{one}-{two}", "amazon", "text", part, (review.format(one),), review.format(two), MINILM,
                   published=HATN)  # fmt: skip
    for product, movie in (("electronics", "imdb"), ("kitchen", "imdb"), ("books", "polarity"), ("dvd", "rt"),
                           ("electronics", "polarity"), ("kitchen", "rt")):  # fmt: skip
        part = "dev" if movie == "imdb" else "test"
        yield Cell(f"{product}-{movie}", "movies", "text", part, (review.format(product),), movies[movie], MINILM)
    for one, two in permutations(("amazon_cells", "imdb", "yelp"), 2):
        part = "dev" if one == "amazon_cells" else "test"
        yield Cell(f"{one}-{two}-sentences", "sentences", "text", part, (sentence.format(one),), sentence.format(two),
                   MINILM)  # fmt: skip


def _photos() -> Iterable[Cell]:
    place = "images/pacs_112px_jpeg.zip?folder={}"
    for one, two in permutations(PACS, 2):
        part: Part = "dev" if one in ("photo", "sketch") else "test"
        yield Cell(f"{one}-{two}", "pacs", "photos", part, (place.format(one),), place.format(two), PHOTOS,
                   published=DOMAINBED)  # fmt: skip


DIGIT_PAIRS: tuple[tuple[str, str, Part, str], ...] = (
    ("mnist", "usps", "dev", "SHOT 97.7 to 98.0, source only 79.7 (full sets, end to end)"),
    ("uci", "mnist", "dev", ""),
    ("usps", "mnist", "test", "SHOT 97.6 to 98.6, source only 88.0 (full sets, end to end)"),
    ("mnist", "mnist_m", "test", "DANN 76.6, source only 52 (full sets, end to end)"),
)


def _digits() -> Iterable[Cell]:
    for one, two, part, published in DIGIT_PAIRS:
        yield Cell(f"{one}-{two}", "digits", "digits", part, (f"digits:{one}",), f"digits:{two}", DIGITS,
                   published=published)  # fmt: skip
        yield Cell(f"{one}-{two}-end-to-end", "digits", "digits", part, (f"digits:{one}",), f"digits:{two}", SMALL,
                   tune="full", training={"epochs": 20, "batch_size": 64}, published=published)  # fmt: skip


def _speech() -> Iterable[Cell]:
    for left in SPEAKERS:
        part: Part = "dev" if left in ("george", "nicolas") else "test"
        others = tuple(f"speech:{name}" for name in SPEAKERS if name != left)
        yield Cell(f"speakers-{left}", "spoken_digits", "speech", part, others, f"speech:{left}", COLUMNS)


def _sensors() -> Iterable[Cell]:
    for one, two in permutations(range(4), 2):
        part: Part = "dev" if one in (0, 2) else "test"
        yield Cell(f"load{one}-load{two}", "bearings", "sensors", part, (f"bearings:{one}",), f"bearings:{two}",
                   COLUMNS)  # fmt: skip


def _tables() -> Iterable[Cell]:
    for one, two in permutations(HOSPITALS, 2):
        part: Part = "dev" if two == "hungarian" or one == "hungarian" else "test"
        yield Cell(f"{one}-{two}", "hospitals", "tables", part, (f"hospital:{one}",), f"hospital:{two}", COLUMNS,
                   published="AUC of logistic regression: 88.4, 69.7, 85.3 for cleveland to hungarian, to switzerland, "
                   "hungarian to cleveland; 30.1 for switzerland to cleveland")  # fmt: skip
    for one, two, part in (("Private", "Self-emp-not-inc", "dev"), ("Private", "State-gov", "dev"),
                           ("Self-emp-not-inc", "Private", "dev"), ("Private", "Federal-gov", "test"),
                           ("Local-gov", "Self-emp-inc", "test"), ("Self-emp-inc", "Private", "test")):  # fmt: skip
        yield Cell(f"{one}-{two}".lower(), "adult", "tables", part, (f"adult:{one}",), f"adult:{two}", COLUMNS)


def _controlled(natural: Iterable[Cell]) -> Iterable[Cell]:
    """The same pairs with a target whose classes are not as common as in the source, or not all there."""
    shares = ("electronics-imdb", "books-dvd", "photo-art_painting", "sketch-cartoon", "mnist-usps", "load0-load3",
              "speakers-george", "private-state-gov",
              "dvd-books", "kitchen-rt", "yelp-imdb-sentences", "cartoon-photo", "art_painting-sketch", "usps-mnist",
              "load1-load2", "speakers-lucas")  # fmt: skip
    missing = ("photo-cartoon", "uci-mnist", "load2-load1", "art_painting-photo", "cartoon-art_painting",
               "load3-load0", "speakers-yweweler", "usps-mnist")  # fmt: skip
    for cell in natural:
        if cell.name in shares:
            yield replace(cell, name=f"{cell.name}-shares", kind="shares", published="")
        if cell.name in missing:
            yield replace(cell, name=f"{cell.name}-missing", kind="missing", published="")


def _all() -> tuple[Cell, ...]:
    natural = [*_text(), *_photos(), *_digits(), *_speech(), *_sensors(), *_tables()]
    return (*natural, *_controlled(natural))


CELLS: dict[str, Cell] = {cell.name: cell for cell in _all()}
QUICK = (
    "books-dvd", "electronics-imdb", "amazon_cells-yelp-sentences", "photo-cartoon", "sketch-photo", "mnist-usps",
    "speakers-george", "load0-load3", "load2-load1", "cleveland-hungarian", "private-state-gov",
    "photo-art_painting-shares",
)  # fmt: skip


def manifest() -> list[dict[str, Any]]:
    """Every cell as plain values."""
    return [asdict(cell) for cell in CELLS.values()]
