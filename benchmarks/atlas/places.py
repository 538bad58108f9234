"""Rows of a cell: locators of files, and domains whose features are computed here."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from typing import Any

import numpy as np

import acclimate as ac
from acclimate.domains.domain import Domain, join
from acclimate.seeds import generator
from benchmarks.atlas.cells import DECAY, RARER, Cell
from benchmarks.common import DATA

MELS, PARTS, WINDOW, HOP = 40, 4, 200, 80
"""Log-mel features of 8 kHz speech: 25 ms windows every 10 ms; mean and deviation in four parts of a clip."""


def domains(cell: Cell) -> tuple[Domain, Domain]:
    """Labelled source and labelled target; the labels of the target are for `open` alone."""
    each = -(-cell.rows // len(cell.source))
    source = join([_drawn(read(place), each, cell.name, "source") for place in cell.source])
    target = read(cell.target)
    if cell.kind != "natural":
        target = target.select(_shifted(target, cell))
    return source, _drawn(target, cell.rows, cell.name, "target")


def read(place: str) -> Domain:
    """The labelled rows of a place."""
    kind, _, name = place.partition(":")
    if kind in _COMPUTED:
        return _COMPUTED[kind](name)
    file = f"{DATA}/{place}"
    return ac.read(file, input="text", label="label") if "jsonl" in place else ac.read(file, label="label")


def _drawn(domain: Domain, rows: int, *purpose: str) -> Domain:
    """At most so many rows, whatever order the file has."""
    order = domain.order
    if len(order) <= rows:
        return domain.select(order)
    return domain.select(np.sort(generator(0, "atlas", *purpose).permutation(order)[:rows]))


def _shifted(domain: Domain, cell: Cell) -> np.ndarray:
    """Rows that remain when the classes, in a random order, become rarer or leave."""
    rng = generator(0, "atlas", cell.name, cell.kind)
    assert domain.labels is not None
    order, kept = domain.order, []
    classes = rng.permutation(np.unique(domain.labels[order].astype(str)))
    gone = len(classes) // 2 if cell.kind == "missing" else 0
    rare = RARER if len(classes) == 2 else DECAY
    for number, name in enumerate(classes[gone:]):
        rows = rng.permutation(order[domain.labels[order].astype(str) == name])
        share = rare**number if cell.kind == "shares" else 1.0
        kept.append(rows[: max(5, round(share * len(rows)))])
    return np.concatenate(kept)


def _digits(name: str) -> Domain:
    if name == "uci":
        from sklearn.datasets import load_digits

        found = load_digits()
        return ac.read(((found.images * 255 / 16).astype(np.uint8), found.target), label="y")
    return ac.read(f"{DATA}/digits/{name}.npz?x=x_train&y=y_train", label="y")


@cache
def _clips() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import soundfile

    features, digits, speakers = [], [], []
    with zipfile.ZipFile(DATA / "speech" / "fsdd_5speakers_flac.zip") as archive:
        for member in sorted(name for name in archive.namelist() if name.endswith(".flac")):
            digit, speaker, _ = member.rsplit("/", 1)[-1].split("_")
            samples, _ = soundfile.read(io.BytesIO(archive.read(member)), dtype="float32")
            features.append(_log_mel(samples))
            digits.append(digit)
            speakers.append(speaker)
    return np.stack(features), np.array(digits), np.array(speakers)


def _log_mel(samples: np.ndarray, rate: int = 8000) -> np.ndarray:
    """``[2 * PARTS * MELS]``."""
    padded = np.pad(samples, (0, max(0, WINDOW + (PARTS - 1) * HOP - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, 256)) ** 2
    logs = np.log(power @ _mel_filters(rate, power.shape[1]).T + 1e-8)
    parts = np.array_split(logs - logs.mean(), PARTS)
    return np.concatenate([side for part in parts for side in (part.mean(axis=0), part.std(axis=0))]).astype(np.float32)


@cache
def _mel_filters(rate: int, bins: int) -> np.ndarray:
    """Triangles ``[MELS, bins]`` on the mel scale of O'Shaughnessy (1987)."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), MELS + 2) / 2595) - 1)
    rising = (np.linspace(0, rate / 2, bins) - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - np.linspace(0, rate / 2, bins)) / np.diff(edges)[1:, None]
    return np.clip(np.minimum(rising, falling), 0, None)


def _speech(name: str) -> Domain:
    features, digits, speakers = _clips()
    return ac.read((features[speakers == name], digits[speakers == name]), label="y")


def _bearings(name: str) -> Domain:
    """Spectra of the nine faults that every load has; loads are recordings of their own."""
    with np.load(DATA / "sensors" / "cwru_12k_drive_end.npz") as arrays:
        rows = (arrays["load"] == int(name)) & (arrays["class_names"][arrays["y"]] != "N")
        windows = arrays["x"][rows].astype(np.float32)
        faults = arrays["class_names"][arrays["y"][rows]]
    windows -= windows.mean(axis=1, keepdims=True)
    spectra = np.log(np.abs(np.fft.rfft(windows * np.hanning(windows.shape[1])))[:, :512] + 1e-4)
    return ac.read((spectra.reshape(len(spectra), 128, 4).mean(axis=2).astype(np.float32), faults), label="y")


def _hospital(name: str) -> Domain:
    table = _table("medical/heart_disease_3hospitals.csv.gz")
    table = table[table["hospital"] == name].drop(columns="hospital").reset_index(drop=True)
    table["num"] = np.where(table["num"] > 0, "ill", "healthy")
    return ac.read(table, input="*", label="num", modality="table")


def _adult(name: str) -> Domain:
    table = _table("tabular/adult.csv.gz")
    table = table[table["workclass"] == name].drop(columns="workclass").reset_index(drop=True)
    return ac.read(table, input="*", label="income-per-year", modality="table")


@cache
def _table(path: str) -> Any:
    import pandas as pd

    return pd.read_csv(DATA / path)


_COMPUTED = {"digits": _digits, "speech": _speech, "bearings": _bearings, "hospital": _hospital, "adult": _adult}
