import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from acclimate.domains.frames import stream
from acclimate.domains.writer import FrameWriter
from acclimate.errors import AcclimateError, DataError, SettingsError

FRAME = pd.DataFrame(
    {"id": ["01", "02", "03"], "text": ["plain", 'two\nlines, "quoted"', "grün"], "n": [1, 2, 3], "p": [0.1, 1e-9, 1]}
)
READERS = {
    "a.csv": lambda p: pd.read_csv(p, dtype={"id": str}),
    "a.csv.gz": lambda p: pd.read_csv(p, dtype={"id": str}),
    "a.tsv": lambda p: pd.read_csv(p, dtype={"id": str}, sep="\t"),
    "a.jsonl": lambda p: pd.read_json(p, lines=True, dtype={"id": str}),
    "a.jsonl.gz": lambda p: pd.read_json(p, lines=True, dtype={"id": str}),
    "a.parquet": pd.read_parquet,
    "a.arrow": pd.read_feather,
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_written_in_pieces_is_read_as_one(tmp_path, name):
    with FrameWriter(tmp_path / name) as out:
        for start in range(3):
            out.write(FRAME.iloc[start : start + 1])
    pd.testing.assert_frame_equal(READERS[name](tmp_path / name), FRAME, check_dtype=False)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("source", ["a.csv", "a.jsonl", "a.parquet"])
def test_streamed_and_written(tmp_path, name, source):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / source
    if source == "a.csv":
        FRAME.to_csv(path, index=False)
    elif source == "a.jsonl":
        FRAME.to_json(path, orient="records", lines=True)
    else:
        FRAME.to_parquet(path)
    with FrameWriter(tmp_path / name) as out:
        for frame, _ in stream(path, "text", "text", size=2, typed=out.typed):
            out.write(frame.assign(prediction=["x"] * len(frame)))
    found = READERS[name](tmp_path / name)
    pd.testing.assert_frame_equal(found, FRAME.assign(prediction="x"), check_dtype=False)


@pytest.mark.parametrize("name", ["a.xlsx", "a.json", "a", "a.parquet.gz", "a.pkl"])
def test_other_formats_are_refused(tmp_path, name):
    with pytest.raises(SettingsError, match=r"\.csv, \.tsv, \.jsonl .* \.parquet or \.arrow"):
        FrameWriter(tmp_path / name)


def test_formulas_are_disarmed_in_csv_and_numbers_left_alone(tmp_path):
    cells = ["=1+1", "+cmd", "-2", "-2.5e3", "@x", "-x", "fine", "\t=1"]
    with FrameWriter(tmp_path / "a.csv") as out:
        out.write(pd.DataFrame({"=c": cells, "n": np.arange(-4.0, 4.0)}))
    found = pd.read_csv(tmp_path / "a.csv", dtype=str)
    assert found.columns.tolist() == ["'=c", "n"]
    assert found["'=c"].tolist() == ["'=1+1", "'+cmd", "-2", "-2.5e3", "'@x", "'-x", "fine", "'\t=1"]
    assert found["n"].tolist()[0] == "-4.0"
    with FrameWriter(tmp_path / "a.jsonl") as out:
        out.write(pd.DataFrame({"c": cells}))
    assert [json.loads(line)["c"] for line in (tmp_path / "a.jsonl").open()] == cells


def test_missing_values(tmp_path):
    frame = pd.DataFrame({"a": [1.5, np.nan], "b": [None, "x"], "c": pd.array([1, None], dtype="Int64")})
    for name, read in (("a.csv", pd.read_csv), ("a.parquet", pd.read_parquet)):
        with FrameWriter(tmp_path / name) as out:
            out.write(frame)
        assert read(tmp_path / name).isna().to_numpy().tolist() == [[False, True, False], [True, False, True]]
    with FrameWriter(tmp_path / "a.jsonl") as out:
        out.write(frame)
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"a": 1.5, "b": None, "c": 1}
    assert json.loads(lines[1]) == {"a": None, "b": "x", "c": None}


def test_a_column_without_values_at_first_is_one_of_text(tmp_path):
    with FrameWriter(tmp_path / "a.parquet") as out:
        out.write(pd.DataFrame({"a": pd.Series([None], dtype=object)}))
        out.write(pd.DataFrame({"a": ["later"]}))
    assert pd.read_parquet(tmp_path / "a.parquet")["a"].tolist()[1] == "later"


def test_nothing_is_left_when_the_block_fails(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(KeyboardInterrupt), FrameWriter(tmp_path / "a.csv") as out:
        out.write(FRAME)
        raise KeyboardInterrupt
    assert (tmp_path / "a.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_frames_that_do_not_fit_the_first(tmp_path, name):
    with pytest.raises(DataError, match="columns changed"), FrameWriter(tmp_path / name) as out:
        out.write(FRAME)
        out.write(FRAME[["id"]])
    assert not list(tmp_path.iterdir())


def test_values_that_do_not_fit_the_first_types(tmp_path):
    with pytest.raises(DataError, match="do not fit the column types"), FrameWriter(tmp_path / "a.parquet") as out:
        out.write(pd.DataFrame({"a": [1]}))
        out.write(pd.DataFrame({"a": ["x"]}))


def test_no_rows(tmp_path):
    with pytest.raises(DataError, match="no rows to write"), FrameWriter(tmp_path / "a.csv"):
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_no_permission(tmp_path):
    with pytest.raises(AcclimateError, match="cannot write"), FrameWriter("/proc/nowhere/a.csv") as out:
        out.write(FRAME)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl.gz", "a.parquet", "a.arrow"])
def test_full_disk(tmp_path, name):
    """A limit on file size stands for the full disk: the write fails inside the library all the same."""
    program = f"""
import resource, signal, sys
import numpy as np, pandas as pd
from acclimate.domains.writer import FrameWriter
from acclimate.errors import AcclimateError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rng = np.random.default_rng(0)
try:
    with FrameWriter({str(tmp_path / name)!r}) as out:
        for _ in range(40):
            out.write(pd.DataFrame({{"a": rng.random(1000)}}))
except AcclimateError as error:
    sys.exit(0 if "cannot write" in str(error) else 5)
sys.exit(6)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_packed_files_are_the_same_bytes_each_time(tmp_path):
    for name in ("one", "two"):
        with FrameWriter(tmp_path / f"{name}.csv.gz") as out:
            out.write(FRAME)
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "two.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "one.csv.gz").read_bytes()).startswith(b"id,text,n,p\n")
