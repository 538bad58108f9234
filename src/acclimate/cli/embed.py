"""``acclimate embed``: features of a frozen backbone as arrays."""

from __future__ import annotations

import argparse
from typing import Any

from acclimate.cli import options
from acclimate.cli.show import put
from acclimate.errors import SettingsError


def add(verbs: options.Verbs) -> None:
    """Declare the options."""
    about = "write the features of a frozen backbone as NPZ: an array a layer, and the rows' ids"
    parser = options.verb(verbs, "embed", about, run)
    parser.add_argument("--data", required=True, metavar="DOMAIN", help=options.LOCATOR)
    parser.add_argument("-o", "--out", required=True, metavar="FILE.npz", help="where to write")
    parser.add_argument("--backbone", metavar="NAME", help="`acclimate list backbones`; default by modality")
    parser.add_argument("--layer", action="append", metavar="NAME", help="a layer; repeat for several")
    options.columns(parser)
    parser.add_argument("--modality", choices=options.MODALITIES, help="found from the data where unambiguous")
    options.place(parser)


def run(args: argparse.Namespace) -> None:
    """Read, embed, write."""
    if not args.out.endswith(".npz"):
        raise SettingsError(f"cannot write '{args.out}': name it .npz")
    import numpy as np

    from acclimate import api
    from acclimate.backbones.registry import default
    from acclimate.files import writing

    domain = api.read(args.data, input=args.input, label=args.label, modality=args.modality)
    backbone = args.backbone or default(domain.schema.modality)
    place = {"device": args.device or "auto", "precision": args.precision or "auto"}
    arrays = api.embed(domain, backbone, layers=args.layer, **place)
    written: dict[str, Any] = {**arrays, "id": domain.ids.astype(str)}
    if domain.labels is not None:
        written["label"] = domain.labels.astype(str)  # unicode: object arrays would need pickle
    with writing(args.out, ".npz") as part:
        np.savez(part, **written)
    sizes = {name: int(array.shape[1]) for name, array in arrays.items()}
    said = ", ".join(f"{name} [{len(domain)}, {size}]" for name, size in sizes.items())
    put(args, {"output": args.out, "backbone": backbone, "rows": len(domain), "layers": sizes}, f"{args.out}: {said}")
