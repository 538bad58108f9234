from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acclimate import __version__
from acclimate.cli import listing

LAUNCH = (sys.executable, "-c", "from acclimate.cli.main import main; raise SystemExit(main())")


def test_version(acclimate):
    done = acclimate("--version")
    assert (done.code, done.out) == (0, f"acclimate {__version__}\n")


def test_help_names_every_command_and_the_exit_codes(acclimate):
    done = acclimate("--help")
    assert done.code == 0
    for word in ("inspect", "adapt", "resume", "evaluate", "predict", "embed", "list", "doctor", "demo", "143"):
        assert word in done.out


@pytest.mark.parametrize(
    "verb", ["inspect", "adapt", "resume", "evaluate", "predict", "embed", "list", "doctor", "demo"]
)
def test_every_command_has_help_and_the_options_of_all(acclimate, verb):
    done = acclimate(verb, "--help")
    assert done.code == 0
    for option in ("--json", "--quiet", "--debug"):
        assert option in done.out


def test_help_imports_nothing_heavy():
    lines = ("import sys", "from acclimate.cli.main import main", "main(['adapt', '--help'])")
    code = "\n".join([*lines, "print(*sys.modules, file=sys.stderr)"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "acclimate.cli.adapt" in loaded
    assert (
        loaded & {"torch", "numpy", "pandas", "sklearn", "scipy", "pydantic", "rich", "yaml", "acclimate.settings"}
        == set()
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "COMMAND"),
        (("adatp",), "unknown command 'adatp'; did you mean 'adapt'?"),
        (("list", "metods"), "unknown list 'metods'; did you mean 'methods'?"),
        (("inspect", "--sorce", "a.csv"), "unknown option '--sorce'; did you mean '--source'?"),
        (("inspect", "--modality", "txt"), "unknown modality 'txt'; did you mean 'text'?"),
        (("adapt", "--source", "a.csv"), "-o/--out"),
        (("adapt", "-o", "x", "--tune", "lorra"), "unknown tune 'lorra'; did you mean 'lora'?"),
        (("adapt", "-o", "x", "--seed", "one"), "--seed"),
        (("doctor", "now"), "unexpected argument 'now'"),
        (("adapt", "-o", "x", "--sour", "a.csv"), "unknown option '--sour'"),
    ],
)
def test_usage_errors_name_what_would_be_right(acclimate, words, said):
    done = acclimate(*words)
    assert done.code == 2
    assert done.err.startswith("acclimate: error: ")
    assert said in done.err
    assert "--help" in done.err
    assert done.out == ""


def test_errors_as_json(acclimate):
    done = acclimate("list", "metods", "--json")
    assert done.code == 2
    assert done.json["exit_code"] == 2
    assert "did you mean 'methods'" in done.json["error"]
    assert done.err == ""


def test_a_bug_is_one_sentence(acclimate, monkeypatch, capsys):
    def broken():
        raise ZeroDivisionError("by nothing")

    monkeypatch.setitem(listing.LISTS, "tasks", broken)
    done = acclimate("list", "tasks")
    assert done.code == 1
    assert "ZeroDivisionError: by nothing" in done.err
    assert "--debug" in done.err

    from acclimate.cli.main import main

    assert main(["list", "tasks", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(run: Path, tables: Path):
    words = [*LAUNCH, "predict", str(run), "--data", str(tables / "test.csv")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 141
    assert errors == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_stdout_is_told(run: Path, tables: Path):
    words = [*LAUNCH, "predict", str(run), "--data", str(tables / "test.csv")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "acclimate: error: No space left on device\n"
