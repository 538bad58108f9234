"""The entry point: parses, runs a verb, and turns whatever happens into an exit code and a sentence."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT, Signals
from typing import Any

from acclimate import __version__
from acclimate.cli import (
    adapt,
    audit,
    cache,
    compare,
    control,
    demo,
    doctor,
    embed,
    evaluate,
    explain,
    export,
    few_shot,
    inspect,
    label_plan,
    leaderboard,
    listing,
    meta_train,
    predict,
    pretrain,
    report,
    resume,
)
from acclimate.cli.parser import Parser
from acclimate.errors import AcclimateError, InterruptedRunError
from acclimate.training import interrupt

VERBS = (
    inspect,
    pretrain,
    meta_train,
    compare,
    adapt,
    resume,
    evaluate,
    leaderboard,
    report,
    explain,
    audit,
    label_plan,
    predict,
    export,
    few_shot,
    embed,
    control,
    cache,
    listing,
    doctor,
    demo,
)
CLOSED_PIPE = 141
"""Like a program that SIGPIPE ended."""
EPILOG = """exit codes: 0 done, 1 failure, 2 usage or settings, 3 bad data, 4 missing extra or offline asset,
130 and 143 after Ctrl-C and SIGTERM (training saves a checkpoint first)"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``acclimate`` with these arguments (those of the process if None) and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json, debug, folder = "--json" in words, "--debug" in words, None
    try:
        args = _parser().parse(words)
        folder = getattr(args, "folder", None)
        with interrupt.graceful(), _plain_warnings(debug):
            args.call(args)
            sys.stdout.flush()
        return 0
    except SystemExit as done:  # argparse ends so after --help and --version
        return int(done.code or 0)
    except BrokenPipeError:
        _forget_stdout()
        return CLOSED_PIPE
    except OSError as error:
        _forget_stdout()
        place = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{place}", 1, as_json)
    except InterruptedRunError as error:
        message = f"{error}; the checkpoint is saved, `acclimate resume {folder}` continues"
        return _fail(message, error.exit_code, as_json)
    except KeyboardInterrupt as error:
        number = getattr(error, "number", SIGINT)
        begun = folder is not None and (Path(folder) / "data.json").is_file()
        hint = f"; `acclimate resume {folder}` continues" if begun else ""
        return _fail(f"stopped by {Signals(number).name}{hint}", 128 + number, as_json)
    except AcclimateError as error:
        if debug:
            traceback.print_exc()
        return _fail(str(error), error.exit_code, as_json)
    except Exception as error:
        if debug:
            traceback.print_exc()
        first = (str(error).strip().splitlines() or [""])[0]
        message = f"this should not happen: {type(error).__name__}: {first} (--debug shows where)"
        return _fail(message, 1, as_json)


def _parser() -> Parser:
    # argparse and not a richer library: it starts in milliseconds, and `--help` promises 0.3 s.
    parser = Parser(
        prog="acclimate",
        description="Takes a model from where it was trained to where it has to work, with honest evidence.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"acclimate {__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for verb in VERBS:
        verb.add(verbs)
    return parser


def _forget_stdout() -> None:
    """Python flushes stdout once more at its end; one that cannot be written would be told again."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - it lives as long as the process


def _fail(message: str, code: int, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False))
    else:
        print(f"acclimate: error: {message}", file=sys.stderr)
    return code


@contextmanager
def _plain_warnings(debug: bool) -> Iterator[None]:
    """Acclimate's own warnings as sentences; those of other packages only with ``--debug``."""
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
            warnings.filterwarnings("default", category=UserWarning, module="acclimate")
            warnings.showwarning = _show_warning
        yield


def _show_warning(message: Warning | str, *place: Any, **more: Any) -> None:
    print(f"acclimate: warning: {message}", file=sys.stderr)
