"""The recipe of a run: every setting, resolved, as YAML."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from acclimate import settings
from acclimate.domains.labels import SEVERAL, canonical_one, is_number
from acclimate.errors import DataError, SettingsError, unknown
from acclimate.files import writing
from acclimate.trust.privacy import settings as privacy

VERSION = 1
MEMORY = "memory"
"""What a recipe says of a domain that came as a Python object."""
SECTIONS = ("backbone", "method", "head", "tune", "training", "episodes", "privacy")
"""Parts of a recipe that are mappings; an option that names one sets its main key."""
LISTS = ("source", "target", "input", "target_input", "items", "users", "sensitive")
MAIN_KEY = {"backbone": "name", "method": "name", "tune": "kind"}
FROM_ENVIRONMENT = ("device", "precision", "jobs", "budget", "seed")
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}


@dataclass(frozen=True)
class Recipe:
    """What `adapt` was asked to do.

    Attributes:
        source: locators of labelled source domains; "memory" for objects.
        target: locators of target domains.
        input: input columns, or '*'.
        label: label column of the source; several (yes or no, or numbers) with | between them, or a list.
        user: of interactions (tasks rate and rank), the column of the users' ids.
        item: of interactions, the column of the items' ids.
        rating: of interactions, the column of ratings or counts in source and target; naming it, or of rank the item,
            permits to train on the target's, and is recorded as ``target_label``.
        items: tables of what is known of items, with the column ``item``.
        users: tables of what is known of users, with the column ``user``.
        hit: of rank, the smallest rating that is a hit; None: every row is one.
        target_input: the target's input columns where they are named otherwise, and as +NAME those that only it has.
        target_label: permission to train on this column of the target (the inductive setting).
        target_shares: what is known of the target's class shares, class to share, roughly; answers are made to fit.
        label_map: JSON file that renames labels, or the mapping itself, as a run keeps it.
        sensitive: columns of the source that hold groups of people (sex, race): results are told apart by them, and
            methods against unfairness use them; no inputs unless ``input`` names them.
        site: column of a source that tells its sites apart: each is a source of its own, but for those of the target.
        group: column whose rows stay together (patient, speaker, product).
        task: classify or regress; None finds it.
        modality: text, image, table, array, audio, series or molecule; None finds it, but for the last two.
        backbone: name and settings.
        method: name and settings.
        head: settings of the task, where it has any (verify, remaining_life).
        tune: kind and settings.
        training: settings of the loop.
        episodes: what the small tasks of meta-training are.
        privacy: budget of differential privacy, and how it is spent; empty: none.
        split: what the held-out rows share with none that are trained on: "random" groups alone, of molecules also
            "scaffold" or "cluster".
        validation: share of the labelled rows that is held out; of meta-training, share of the classes.
        calibration: what the confidence of classes is made to fit: the held-out rows of the "source", these "weighted"
            towards the target (Park et al. 2020), or the target's estimated accuracy ("transcal", Wang et al. 2020);
            neither needs target labels. Where labelled target rows are held out, these are taken.
        choose: what decides between the adapted and the source model: the label-free "evidence", or the "worst_group"
            of people on held-out source rows (Sagawa et al. 2020).
        plain_baseline: whether the modality's plain baseline is trained too.
        budget: seconds for the training loops of all arms together, or None.
        jobs: arms trained at the same time.
        device: auto, cpu, cuda, mps, ...
        precision: auto, fp32, bf16 or fp16.
        seed: from which all randomness comes.
    """

    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    input: tuple[str, ...] = ()
    label: str | None = None
    user: str | None = None
    item: str | None = None
    rating: str | None = None
    items: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    hit: float | None = None
    target_input: tuple[str, ...] = ()
    target_label: str | None = None
    target_shares: dict[str, float] | None = None
    label_map: str | dict[str, str] | None = None
    sensitive: tuple[str, ...] = ()
    site: str | None = None
    group: str | None = None
    task: str | None = None
    modality: Literal["pairs", "users", "text", "image", "table", "array", "audio", "series", "molecule"] | None = None
    backbone: dict[str, Any] = field(default_factory=dict)
    method: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    tune: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    episodes: dict[str, Any] = field(default_factory=dict)
    privacy: dict[str, Any] = field(default_factory=dict)
    split: Literal["random", "scaffold", "cluster"] = "random"
    validation: float = 0.2
    calibration: Literal["source", "weighted", "transcal"] = "source"
    choose: Literal["evidence", "worst_group"] = "evidence"
    plain_baseline: bool = True
    budget: float | None = None
    jobs: int = 1
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    seed: int = 0
    version: int = VERSION

    def __post_init__(self) -> None:
        if not 0 <= self.validation < 1:
            raise SettingsError(f"validation is a share of the rows, from 0 to below 1; found {self.validation}")
        if self.jobs < 1:
            raise SettingsError(f"jobs must be at least 1, found {self.jobs}")
        if self.version != VERSION:
            raise SettingsError(f"recipe version {self.version} is not {VERSION}; this recipe needs another Acclimate")

    def write(self, path: Path) -> None:
        """As YAML, atomically."""
        text = yaml.safe_dump(settings.as_dict(self), sort_keys=False, allow_unicode=True)
        with writing(path) as part:
            part.write_text(text, encoding="utf-8")


def parse(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from plain values: single names become lists, sections may be a name alone.

    Raises:
        SettingsError: an unknown key (names the nearest), or a value of the wrong type.
    """
    known = [f.name for f in dataclasses.fields(Recipe)]
    plain: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise SettingsError(f"{where}: {unknown('setting', str(key), known)}")
        if name in ("label", "target_label") and isinstance(value, list | tuple):
            value = SEVERAL.join(map(str, value))
        if name == "sensitive" and isinstance(value, str):
            value = list(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        if name in LISTS and value is not None:
            value = [value] if isinstance(value, str | os.PathLike) else value
            if not isinstance(value, list | tuple):
                raise SettingsError(f"{where}.{name}: expected a name or a list of names, found {value!r}")
            value = tuple(str(item) for item in value)
        if name in MAIN_KEY and isinstance(value, str):
            value = {MAIN_KEY[name]: value}
        if name == "privacy" and value is not None:
            value = privacy.parse(value)
        if name == "label_map" and isinstance(value, Mapping):
            value = {canonical_one(old): canonical_one(new) for old, new in value.items()}
        if name == "budget" and value is not None:
            value = seconds(value)
        if name == "target_shares" and value is not None:
            value = class_shares(value)
        if value is not None:
            plain[name] = value
    return settings.build(Recipe, _permitted(plain), where)


def _permitted(plain: dict[str, Any]) -> dict[str, Any]:
    """With the labels of interactions, which naming their columns permits in both domains."""
    if "user" not in plain or "item" not in plain:
        return plain
    label = plain.get("rating", plain["item"])
    permitted = {"target_label": label} if plain.get("target") else {}
    return {"label": label, **permitted, **plain}


def read(path: Path | str) -> dict[str, Any]:
    """The plain values of a recipe file.

    Raises:
        DataError: the file is missing.
        SettingsError: it is not a YAML mapping.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"recipe {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise SettingsError(f"recipe {path} is not YAML: {first}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"recipe {path}: expected 'key: value' lines, found {type(values).__name__}")
    return values


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values, later layers first in rank; sections are merged key by key."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            name = str(key).replace("-", "_")
            if value is None:
                continue
            if name in SECTIONS:
                main = MAIN_KEY.get(name)
                value = {main: value} if isinstance(value, str) and main else value
                before = merged.get(name)
                if isinstance(value, Mapping) and isinstance(before, Mapping):
                    other = main in before and before[main] != value.get(main, before[main])
                    value = value if other else joined(before, value)  # settings of another method do not carry over
            merged[name] = value
    return merged


def joined(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Both, the later one over the earlier one, key by key at every depth."""
    both = {k: (before[k], after[k]) for k in before.keys() & after.keys()}
    inner = {k: joined(*v) for k, v in both.items() if all(isinstance(side, Mapping) for side in v)}
    return {**before, **after, **inner}


def assignments(pairs: list[str], sections: Sequence[str] = SECTIONS) -> dict[str, Any]:
    """``["method.strength=0.5", "method.dann.hidden=64", "seed=1"]`` as nested values, parsed as YAML.

    Raises:
        SettingsError: not of the form KEY=VALUE or SECTION.KEY=VALUE.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        section, dot, key = path.strip().partition(".")
        if not equals or not section or (dot and (section not in sections or not key)):
            raise SettingsError(
                f"--set {pair}: expected KEY=VALUE, or SECTION.KEY=VALUE with a section of {', '.join(sections)}"
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        for name in reversed(key.split(".") if dot else ()):
            value = {name: value}
        values = merge(values, {section: value})
    return values


def again(folder: Path, call: str, **given: Sequence[Any] | None) -> Recipe:
    """The recipe of a run's folder, whose domains are read again.

    Args:
        folder: of the run.
        call: what the user would write to give them.
        given: source and target as objects, None where the recipe is to say where they are.

    Raises:
        SettingsError: the data came from Python and are not given again.
    """
    path = folder / "recipe.yaml"
    recipe = parse(read(path), str(path))
    for name, value in given.items():
        if MEMORY in getattr(recipe, name) and value is None:
            raise SettingsError(f"{folder}: the {name} was a Python object; give it again, as {name}=... to {call}")
    return recipe


def environment() -> dict[str, Any]:
    """Settings from ``ACCLIMATE_DEVICE``, ``ACCLIMATE_PRECISION`` and the like."""
    found = {name: os.environ.get(f"ACCLIMATE_{name.upper()}") for name in FROM_ENVIRONMENT}
    return {name: value for name, value in found.items() if value}


def class_shares(value: Any) -> dict[str, Any]:
    """Class shares from ``"positive=0.3,negative=0.7"`` or a mapping, by canonical class.

    Raises:
        SettingsError: of another form, or a class is named twice.
    """
    if isinstance(value, str):
        parts = [part.rpartition("=") for part in value.split(",")]
        if not all(name.strip() and equals and is_number(share) for name, equals, share in parts):
            raise SettingsError(f"target_shares {value!r}: expected CLASS=SHARE,CLASS=SHARE,... as in yes=0.3,no=0.7")
        pairs: list[tuple[Any, Any]] = [(name.strip(), float(share)) for name, _, share in parts]
    elif isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        raise SettingsError(f"target_shares: expected a mapping of classes to shares, found {value!r}")
    named = {canonical_one(name): share for name, share in pairs}
    if len(named) < len(pairs):
        raise SettingsError(f"target_shares: a class is named twice in {value!r}")
    return named


def seconds(text: str | float, what: str = "budget") -> float:
    """A duration: ``90``, ``"90s"``, ``"5m"``, ``"1.5h"``, ``"30d"``; ``what`` it is for is told of a wrong one.

    Raises:
        SettingsError: not a positive duration.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", str(text))
    if match is None or float(match[1]) == 0:
        raise SettingsError(f"{what} {text!r} is not a duration; write 90s, 5m, 1.5h or 30d")
    return float(match[1]) * UNITS[match[2]]
