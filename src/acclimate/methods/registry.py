"""Every method by name; modules are imported when one is created."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from itertools import islice, product
from typing import TYPE_CHECKING, Any

import yaml

from acclimate.errors import SettingsError, unknown
from acclimate.settings import build

if TYPE_CHECKING:
    from acclimate.methods.base import Method
    from acclimate.methods.data import Data
    from acclimate.methods.meta.base import Learner
    from acclimate.methods.pretrain.base import Pretraining

METHODS: dict[str, str] = {
    "source_only": "transfer.source_only:SourceOnly",
    "target_only": "transfer.target_only:TargetOnly",
    "finetune": "transfer.finetune:Finetune",
    "joint": "transfer.joint:Joint",
    "knn_mt": "transfer.knn_mt:KNNMT",
    "forest": "transfer.forest:RandomForest",
    "dann": "adversarial.dann:DANN",
    "cdan": "adversarial.cdan:CDAN",
    "mcd": "adversarial.mcd:MCD",
    "mmd": "discrepancy.mmd:MMD",
    "coral": "discrepancy.coral:CORAL",
    "deepjdot": "discrepancy.deepjdot:DeepJDOT",
    "ot_mapping": "discrepancy.ot_mapping:OTMapping",
    "afn": "discrepancy.afn:AFN",
    "fda": "style.fda:FDA",
    "mcc": "self_training.mcc:MCC",
    "bnm": "self_training.bnm:BNM",
    "fixmatch": "self_training.fixmatch:FixMatch",
    "mean_teacher": "self_training.mean_teacher:MeanTeacher",
    "self_training": "self_training.self_training:SelfTraining",
    "shot": "source_free.shot:SHOT",
    "tent": "source_free.tent:TENT",
    "adabn": "source_free.adabn:AdaBN",
    "suta": "test_time.suta:SUTA",
    "site_standardize": "harmonize.site_standardize:SiteStandardize",
    "combat": "harmonize.combat:ComBat",
    "mlls": "label_shift.mlls:MLLS",
    "bbse": "label_shift.bbse:BBSE",
    "importance_weighting": "reweight.importance_weighting:ImportanceWeighting",
    "groupdro": "generalize.groupdro:GroupDRO",
    "reweighing": "fair.reweighing:Reweighing",
    "dfr": "fair.dfr:DFR",
    "adversarial_debiasing": "fair.adversarial_debiasing:AdversarialDebiasing",
    "cmf": "recommend.cmf:CMF",
    "emcdr": "recommend.emcdr:EMCDR",
    "ptupcdr": "recommend.ptupcdr:PTUPCDR",
    "auto": "ensemble.auto:Auto",
}
PRETRAINING: dict[str, str] = {
    "simclr": "pretrain.simclr:SimCLR",
    "mlm": "pretrain.mlm:MLM",
}
"""What teaches an encoder without labels, before any of the methods."""
META: dict[str, str] = {
    "maml": "meta.maml:MAML",
    "fomaml": "meta.fomaml:FOMAML",
    "reptile": "meta.reptile:Reptile",
    "anil": "meta.anil:ANIL",
    "meta_sgd": "meta.meta_sgd:MetaSGD",
    "maml++": "meta.maml_pp:MAMLPP",
    "protonet": "meta.protonet:ProtoNet",
    "matching_net": "meta.matching_net:MatchingNet",
    "relation_net": "meta.relation_net:RelationNet",
    "r2d2": "meta.r2d2:R2D2",
    "proto_maml": "meta.proto_maml:ProtoMAML",
    "baseline++": "meta.baseline_pp:BaselinePP",
    "pmf": "meta.pmf:PMF",
}
"""What learns to learn from episodes."""
ALIASES = ("linear_probe",)
"""Names for a method with a tune: `linear_probe` is source_only or target_only with --tune frozen."""


def find(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        SettingsError: no such method; names the nearest.
    """
    if name in PRETRAINING:
        raise SettingsError(
            f"method '{name}' teaches an encoder without labels: `acclimate pretrain --method {name} ... -o FOLDER`, "
            "then --backbone FOLDER here"
        )
    if name in META:
        raise SettingsError(
            f"method '{name}' learns to learn from many small tasks: "
            f"`acclimate meta-train --method {name} ... -o FOLDER`"
        )
    if name not in METHODS:
        raise SettingsError(unknown("method", name, [*METHODS, *ALIASES]))
    return _imported(METHODS[name])


def find_pretraining(name: str) -> type[Pretraining]:
    """The class of a pretraining.

    Raises:
        SettingsError: no such pretraining; names those that there are.
    """
    if name not in PRETRAINING:
        raise SettingsError(unknown("pretraining method", name, PRETRAINING))
    return _imported(PRETRAINING[name])


def find_meta(name: str) -> type[Learner]:
    """The class of a meta-learner.

    Raises:
        SettingsError: no such meta-learner; names the nearest.
    """
    if name in METHODS or name in PRETRAINING:
        verb = "adapt" if name in METHODS else "pretrain"
        raise SettingsError(
            f"method '{name}' is one of `acclimate {verb}`; those that learn to learn: {', '.join(META)}"
        )
    if name not in META:
        raise SettingsError(unknown("meta-learner", name, META))
    return _imported(META[name])


def _imported(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(f"acclimate.methods.{module}"), attribute)


def create(name: str, settings: Mapping[str, Any] | None = None) -> Method:
    """A method from its name and settings.

    ``a+b`` is both (`acclimate.methods.compose`); settings are then given by member: ``{"a": {...}, "b": {...}}``.

    Raises:
        SettingsError: unknown method or setting, a value out of range, or methods that cannot be combined.
    """
    if "+" in name and name not in META:
        from acclimate.methods.compose import compose

        names = [part.strip() for part in name.split("+")]
        for key, value in (settings or {}).items():
            if key not in names:
                raise SettingsError(f"method {name}: {unknown('member', key, names)}; write method.{names[0]}.SETTING")
            if not isinstance(value, Mapping):
                raise SettingsError(f"method {name}: expected the settings of '{key}', found {value!r}")
        return compose([create(part, (settings or {}).get(part)) for part in names])
    return build(find(name), settings or {}, f"method {name}")


def parse(text: str) -> Method:
    """A method from its name and settings in one word, the inverse of `title`.

    ``mcc``, ``mcc:strength=0.3:temperature=2``, ``dann+mcc:dann.strength=0.3``; values are read as YAML.

    Raises:
        SettingsError: as `create`, or not of this form.
    """
    name, *pairs = text.split(":")
    settings: dict[str, Any] = {}
    for pair in pairs:
        path, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not path or not value or path in settings or ("." in path) != ("+" in name):
            form = "A+B:A.SETTING=VALUE" if "+" in name else "NAME:SETTING=VALUE[:SETTING=VALUE]"
            raise SettingsError(f"method '{text}': expected {form}, each setting once; found '{pair}'")
        settings[path] = _value(value, text)
    return create(name.strip(), _nested(settings))


def title(method: Method) -> str:
    """Name and settings other than the defaults in one word, from which `parse` makes the method again."""
    default = _flat(create(method.name))
    changed = {key: value for key, value in _flat(method).items() if value != default[key]}
    return ":".join([method.name, *(f"{key}={_word(value)}" for key, value in changed.items())])


def variants(method: Method, count: int, convex: bool = False) -> list[Method]:
    """The method, and others of its kind with settings from their search range; at most ``count`` together.

    Settings that differ from the default stay as they are. The next one to try is that of the least sum of ranks among
    the values, where a setting's rank counts once if it is declared first, twice if second, and so on; of equal ones
    that which goes further with the first setting.

    Args:
        method: from which the others differ.
        count: how many are wanted.
        convex: whether the head alone learns, on frozen features.
    """
    default, now = _flat(create(method.name)), _flat(method)
    free = {key: values for key, values in method.searched(convex).items() if now[key] == default[key]}
    ranks = product(*(range(len(values)) for values in free.values()))
    ordered = sorted(
        ranks, key=lambda row: (sum(rank * place for place, rank in enumerate(row, 1)), [-rank for rank in row])
    )
    chosen = [{key: values[rank] for (key, values), rank in zip(free.items(), row, strict=True)} for row in ordered]
    others = (create(method.name, _nested({**now, **values})) for values in chosen[1:])
    return [method, *islice(others, count - 1)]


def _flat(method: Method) -> dict[str, Any]:
    """Every setting, those of a combination's members as ``member.setting``."""
    flat: dict[str, Any] = {}
    for key, value in method.recipe().items():
        if key != "name":
            flat |= {f"{key}.{k}": v for k, v in value.items()} if "+" in method.name else {key: value}
    return flat


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for path, value in flat.items():
        member, dot, key = path.partition(".")
        if dot:
            settings.setdefault(member, {})[key] = value
        else:
            settings[member] = value
    return settings


def _value(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise SettingsError(f"method '{where}': '{text}' is not a value") from None


def _word(value: Any) -> str:
    """A setting's value as YAML reads it again."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def unfit(method: Method, data: Data) -> str:
    """What keeps a method from working with these data, as a sentence without its stop; empty if nothing."""
    return method.misses(data) or _apart(method, data)


def works_with(data: Data) -> list[str]:
    """The methods that these data suit."""
    methods = ((name, create(name)) for name in METHODS)
    return [name for name, method in methods if not unfit(method, data)]


def _apart(method: Method, data: Data) -> str:
    """A sentence where nothing links the domains, neither a column nor the method."""
    if data.difference is None or data.difference.shared or method.joins:
        return ""
    return (
        f"source and target share no column, and method '{method.name}' does not bring them together; "
        "name the target's columns in the order of the source's with --target-input if they are the same ones"
    )
