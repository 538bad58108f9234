"""Tables that cannot be read: what is said of them."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from acclimate.domains.read import read
from acclimate.errors import DataError, SettingsError


def test_no_input_lists_the_columns(tmp_path, write):
    with pytest.raises(DataError, match="columns found: text, label, domain, price"):
        read(write(tmp_path / "a.csv"))


def test_missing_column_names_the_nearest(tmp_path, write):
    with pytest.raises(DataError, match="no column 'txt'; did you mean 'text'"):
        read(write(tmp_path / "a.jsonl"), input="txt")
    with pytest.raises(DataError, match="no column 'nowhere'"):
        read(write(tmp_path / "a.parquet"), input="text", label="nowhere")


def test_columns_in_one_word_are_named_one_by_one():
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4], "y": ["p", "q"]})
    with pytest.raises(DataError, match="no column 'a, b'; name each by itself, as in --input A --input B"):
        read(frame, input="a, b", label="y")


def test_label_is_no_input(tmp_path, write, frame):
    with pytest.raises(DataError, match="'text' is both input and group"):
        read(frame, input="text", group="text")
    with pytest.raises(DataError, match="both input and label"):
        read(write(tmp_path / "a.csv"), input=["text", "label"], label="label")


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.arrow"])
def test_missing_text_names_its_row(tmp_path, name, write, frame):
    path = write(tmp_path / name, frame.assign(text=["a b c", "d e f", None, "g h i", "j k l", "m n o"]))
    with pytest.raises(DataError, match="column 'text' has no text in row 3"):
        read(path, input="text", modality="text")
    with pytest.raises(DataError, match="row 3"):
        read(f"{path}?domain=dvd", input="text", modality="text")


@pytest.mark.parametrize("value", [np.inf, -1e31])
def test_absurd_numbers_name_column_and_row(tmp_path, table_name, value, write, frame):
    if table_name.startswith("a.jsonl") and np.isinf(value):
        pytest.skip("pandas writes infinite numbers as null")
    path = write(tmp_path / table_name, frame.assign(price=[1, 2, 3, value, 5, 6]))
    with pytest.raises(DataError, match=r"column 'price' holds numbers that are infinite or beyond 1e\+30 .* row 4"):
        read(path, input=["price", "domain"])


def test_infinite_json_number(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": 1}\n{"x": Infinity}\n')
    with pytest.raises(DataError, match="row 2"):
        read(path, input="x")


def test_half_a_character_in_a_category(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": "a", "y": "b", "t": "c"}\n{"x": "\\ud800", "y": "\\ud800", "t": "d"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl: column 'x': row 2 holds half a character"):
        read(path, input="x", modality="table")
    with pytest.raises(DataError, match=r"a\.jsonl: label 'y': '\\ud800' holds half a character"):
        read(path, input="t", label="y", modality="text")


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.arrow"])
def test_lists_are_no_labels(tmp_path, name, write, frame):
    path = write(tmp_path / name, frame.assign(tags=[["a", "b"]] * 6))
    with pytest.raises(DataError, match=r"label 'tags': row 1 holds a .*; expected one word or number"):
        read(path, input="text", label="tags", modality="text")


def test_whole_number_beyond_every_float(tmp_path):
    digits = "9" * 400
    for name, text in {"a.jsonl": f'{{"x": 1}}\n{{"x": {digits}}}\n', "a.csv": f"x\n1\n{digits}\n"}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=r"infinite or beyond .* row 2"):
            read(tmp_path / name, input="x")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", ""),
        ("a.csv", "text,label\n"),
        ("a.jsonl", ""),
        ("a.parquet", ""),
        ("a.arrow", ""),
        ("a.csv.gz", ""),
    ],
)
def test_empty_files(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=name):
        read(tmp_path / name, input="text")


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.parquet", "a.arrow"])
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_truncated_files(tmp_path, name, keep, write):
    rng = np.random.default_rng(0)
    big = pd.DataFrame({"text": [" ".join(map(str, rng.integers(1e9, size=9))) for _ in range(300)]})
    path = write(tmp_path / name, big)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(DataError, match=name):
        read(path, input="text")


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz", "a.parquet", "a.arrow", "a.tsv.gz"])
def test_garbage(tmp_path, name):
    (tmp_path / name).write_bytes(np.random.default_rng(1).bytes(500))
    with pytest.raises(DataError, match=name):
        read(tmp_path / name, input="text")


def test_flipped_bytes_never_escape_as_another_error(tmp_path, write):
    rng = np.random.default_rng(2)
    for name in ("a.parquet", "a.arrow", "a.csv.gz", "a.jsonl.gz"):
        data = write(tmp_path / name).read_bytes()
        for _ in range(40):
            broken = bytearray(data)
            broken[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
            (tmp_path / name).write_bytes(broken)
            try:
                read(tmp_path / name, input="text", label="label")
            except DataError:
                continue


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.csv.gz"])
def test_other_encodings_name_line_and_byte(tmp_path, name):
    frame = pd.DataFrame({"text": ["one two three", "drei vier f\u00fcnf"], "n": [1, 2]})
    text = "\n".join(json.dumps(r, ensure_ascii=False) for r in frame.to_dict("records"))
    if "jsonl" not in name:
        text = frame.to_csv(index=False, sep="\t" if "tsv" in name else ",")
    data = text.encode("latin-1")
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    line = data[: data.index(b"\xfc")].count(b"\n") + 1
    with pytest.raises(DataError, match=rf"line {line} is not UTF-8 \(byte {data.index(bytes([0xFC]))}: 0xfc\)"):
        read(tmp_path / name, input="text")


def test_header_in_another_encoding(tmp_path):
    (tmp_path / "a.csv").write_bytes("text,gr\u00f6\u00dfe\na b c,1\n".encode("latin-1"))
    with pytest.raises(DataError, match="line 1 is not UTF-8"):
        read(tmp_path / "a.csv", input="text")


def test_malformed_json_line_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a b c"}\n\n{"text": \n')
    with pytest.raises(DataError, match="line 3 is not JSON"):
        read(path, input="text")
    path.write_text('{"text": "a b c"}\n["a"]\n')
    with pytest.raises(DataError, match="line 2 is not a JSON object"):
        read(path, input="text")
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match="line 1 is not JSON"):
        read(path, input="text")


@pytest.mark.parametrize("row", ["a b c", "a b c,1,2", '"a b c,1'])
def test_ragged_csv(tmp_path, row):
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\nd e f,0\n{row}\n")
    with pytest.raises(DataError, match=r"a\.csv"):
        read(path, input="text", label="label")


def test_columns_that_occur_twice(tmp_path):
    (tmp_path / "a.csv").write_text("text,text\na b c,d\n")
    with pytest.raises(DataError, match="occur twice: text"):
        read(tmp_path / "a.csv", input="text")
    with pytest.raises(DataError, match="occur twice: a"):
        read(pd.DataFrame([[1, 2]], columns=["a", "a"]), input="a")


def test_lists_and_dates_are_no_inputs(tmp_path, write):
    with pytest.raises(DataError, match="column 'v' holds list"):
        read(pd.DataFrame({"v": [[1, 2], [3]], "w": [1, 2]}), input="*")
    with pytest.raises(DataError, match="column 'when' holds Timestamp"):
        read(pd.DataFrame({"when": pd.to_datetime(["2020-01-01"]), "w": [1]}), input="*")
    path = write(tmp_path / "a.parquet", pd.DataFrame({"when": pd.to_datetime(["2020-01-01"]), "w": [1]}))
    with pytest.raises(DataError, match="column 'when'"):
        read(path, input="*")


def test_half_characters(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a fine day"}\n{"text": "half a \\ud83d smile"}\n')
    with pytest.raises(DataError, match="row 2 holds half a character"):
        read(tmp_path / "a.jsonl", input="text")
    with pytest.raises(DataError, match="row 1 holds half a character"):
        read(["\ud83d"])


def test_permission_and_folders(tmp_path):
    folder = tmp_path / "a.csv"
    folder.mkdir()
    with pytest.raises(DataError):
        read(folder, input="text")
    with pytest.raises(DataError, match=r"unknown format '\.xyz'"):
        (tmp_path / "a.xyz").write_text("a")
        read(tmp_path / "a.xyz")


def test_unknown_modality():
    with pytest.raises(SettingsError, match="did you mean 'text'"):
        read(["a"], modality="texts")


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv.gz"])
def test_endless_rows_and_headers_are_not_unpacked(tmp_path, name):
    import tracemalloc

    text = '{"x": "' + "a" * (100 << 20) + '"}' if "jsonl" in name else "a" * (100 << 20) + "\n1\n"
    with gzip.open(tmp_path / name, "wt", compresslevel=1) if name.endswith("gz") else (tmp_path / name).open("w") as f:
        f.write(text)
    del text
    tracemalloc.start()
    with pytest.raises(DataError, match=r"a row is larger than 32 MB"):
        read(tmp_path / name, input="x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 90 << 20
