"""Hugging Face data sets: objects of ``datasets``, and ``hf:NAME`` where there is a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from acclimate.domains.domain import Domain
from acclimate.domains.locator import Locator, column_of
from acclimate.domains.request import Request
from acclimate.errors import DataError, MissingAssetError


def load_hub(locator: Locator) -> Any:
    """The data set behind ``hf:NAME?split=train``; ``config=`` names a configuration. No code of the hub is run.

    Raises:
        MissingAssetError: the extra 'datasets' is not installed, or the hub cannot be reached.
        DataError: no such split or configuration.
    """
    try:
        import datasets
    except ImportError:
        raise MissingAssetError(f"{locator}: needs the extra 'datasets': pip install 'acclimate[datasets]'") from None
    name = locator.path.removeprefix("hf:")
    try:
        return datasets.load_dataset(name, locator.one("config"), split=locator.one("split"))
    except ValueError as error:
        raise DataError(f"{locator}: {error}") from None
    except (OSError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise MissingAssetError(
            f"{locator}: cannot be fetched ({type(error).__name__}: {str(error)[:200]}); "
            "offline, download it first and give a file's path"
        ) from None


def read_dataset(source: Any, wanted: Request, locator: Locator | None = None) -> Domain:
    """A domain from a ``datasets.Dataset``; its Arrow data stay memory-mapped."""
    import datasets

    from acclimate.domains.from_tables import beside, of_arrow, plan

    where = "datasets.Dataset" if locator is None else str(locator)
    if isinstance(source, dict):
        raise DataError(f"{where}: choose a split: {', '.join(source)}")
    if not isinstance(source, datasets.Dataset):
        raise DataError(
            f"{where}: expected a Dataset, found {type(source).__name__}; a stream must be read to its end first: "
            "load it without streaming=True, or make it one with datasets.Dataset.from_list(list(stream))"
        )
    select = {} if locator is None else locator.rows("split", "config")
    wanted = plan(source.column_names, wanted, [column_of(key) for key in select], where)
    inputs, aside = list(wanted.input or ()), beside(wanted, select, source.column_names)
    wanted = replace(wanted, modality=wanted.modality or _media(source, inputs))
    table = source.select_columns(inputs).with_format("arrow")[:]
    side = source.select_columns(aside).with_format("arrow")[:].to_pandas()
    return of_arrow(table, _named_classes(side, source), wanted, where, locator)


def _media(source: Any, inputs: list[str]) -> Any:
    """What an Image or Audio feature says of itself; None for others."""
    kind = type(source.features[inputs[0]]).__name__
    return {"Image": "image", "Audio": "audio"}.get(kind)


def _named_classes(side: Any, source: Any) -> Any:
    """Class numbers as the names that the data set has for them."""
    for column in side:
        feature = source.features[column]
        if type(feature).__name__ == "ClassLabel":
            names = dict(enumerate(feature.names))
            side[column] = side[column].map(names)
    return side
