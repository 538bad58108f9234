import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from acclimate.domains import tables
from acclimate.domains.domain import Subset
from acclimate.domains.read import read
from acclimate.domains.rows import ArrowRows
from acclimate.errors import DataError


def test_every_format_gives_the_same_domain(tmp_path, table_name, write, frame, reviews):
    domain = read(write(tmp_path / table_name), input="text", label="label", group="domain")
    assert domain.schema.modality == "text"
    assert domain.rows.take(np.array([5, 2, 3])) == [reviews[5], "NA", ""]
    assert domain.labels.tolist() == ["1", "0", "1", "0", "1", "0"]
    assert domain.groups.tolist() == frame["domain"].tolist()
    assert domain.ids.tolist() == read(reviews).ids.tolist()
    assert domain.notes == ("modality text: column 'text' holds texts",)


def test_selection_by_columns(tmp_path, table_name, write, reviews):
    path = write(tmp_path / table_name)
    domain = read(f"{path}?domain=dvd&domain=kitchen&label=1.0", input="text", label="label", modality="text")
    assert domain.name == f"{table_name}?domain=dvd&domain=kitchen&label=1.0"
    assert domain.rows.take(np.arange(3)) == [reviews[0], "NA", "01"]
    again = read(domain.locator, input="text", label="label", modality="text")
    assert again.fingerprint == domain.fingerprint
    with pytest.raises(DataError, match="values found: dvd, electronics, kitchen"):
        read(f"{path}?domain=books", input="text")


def test_table_of_numbers_and_categories(tmp_path, table_name, write, frame):
    domain = read(write(tmp_path / table_name), input=["price", "domain"], label="label")
    taken = domain.rows.take(np.array([2, 0]))
    assert domain.schema.modality == "table"
    assert taken["price"].dtype == np.float64
    assert np.isnan(taken["price"][0])
    assert taken["price"][1] == 1.5
    assert taken["domain"].tolist() == ["dvd", "dvd"]
    assert taken.index.tolist() == [0, 1]
    in_memory = read(frame, input=["price", "domain"])
    assert domain.ids.tolist() == in_memory.ids.tolist()


def test_star_is_all_but_label_group_excluded_and_selecting_columns(tmp_path, write, frame):
    path = write(tmp_path / "a.csv", frame.assign(age=range(6), who="p", secret="s"))
    domain = read(f"{path}?domain=dvd", input="*", label="label", group="who", exclude=["text", "secret"])
    assert domain.schema.inputs == ("price", "age")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "again.csv"])
def test_row_numbers_of_pandas_are_no_inputs(tmp_path, name):
    frame = pd.DataFrame({"age": [1, 2], "label": ["x", "y"]}, index=[4, 7])
    path = tmp_path / name
    frame.to_parquet(path) if name == "a.parquet" else frame.to_csv(path)
    if name == "again.csv":
        pd.read_csv(path).to_csv(path, index=False)
    domain = read(path, input="*", label="label")
    assert domain.schema.inputs == ("age",)
    left = {"a.csv": "''", "a.parquet": "'__index_level_0__'", "again.csv": "'Unnamed: 0'"}[name]
    assert any(f"left out as row numbers: {left};" in note for note in domain.notes)
    assert read(path, input=["age", left[1:-1]]).schema.inputs == ("age", left[1:-1])


def test_text_columns_keep_their_text_and_labels_too(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("code,text\n01,some words in here\n1,NA\n1.0,3\n", encoding="utf-8-sig")
    domain = read(path, input="text", label="code", modality="text")
    assert domain.labels.tolist() == ["01", "1", "1"]
    assert domain.rows.take(np.arange(3)) == ["some words in here", "NA", "3"]
    numbers = read(path, input="code", modality="table").rows.take(np.arange(3))
    assert numbers["code"].tolist() == [1.0, 1.0, 1.0]


def test_byte_order_mark_is_no_part_of_the_first_column(tmp_path, write):
    for name in ("a.csv", "a.jsonl"):
        path = write(tmp_path / name)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert len(read(path, input="text")) == 6


def test_joined_texts_need_the_modality(tmp_path):
    frame = pd.DataFrame({"title": ["one two three", "four five six"], "body": ["a b c d", "e f g h"]})
    with pytest.raises(DataError, match="'title', 'body' hold sentences"):
        read(frame, input=["title", "body"])
    domain = read(frame, input=["title", "body"], modality="text")
    assert domain.rows.take(np.arange(1)) == ["one two three\na b c d"]


def test_short_strings_are_ambiguous():
    frame = pd.DataFrame({"size": ["S", "M", "L", "S"]})
    with pytest.raises(DataError, match="pass modality text or table"):
        read(frame, input="size")
    assert read(frame, input="size", modality="table").schema.modality == "table"


def test_table_columns_as_an_array():
    domain = read(pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), input="*", modality="array")
    assert domain.rows.take(np.array([1])).tolist() == [[2.0, 1.5]]
    with pytest.raises(DataError, match="are not: c"):
        read(pd.DataFrame({"a": [1], "c": ["x"]}), input="*", modality="array")


def test_modality_is_said_only_where_it_was_found(tmp_path, table_name, write):
    path = write(tmp_path / table_name)
    columns = ["price", "domain"]
    assert read(path, input=columns).notes == ("modality table: 2 columns of numbers or categories: price, domain",)
    assert read(path, input=columns, modality="table").notes == ()


def test_numbers_of_any_table_as_an_array(tmp_path, table_name, write, frame):
    path = write(tmp_path / table_name, frame.assign(other=range(6), price=range(6, 12)))
    domain = read(f"{path}?domain=dvd", input=["other", "price"], label="label", group="domain", modality="array")
    assert domain.rows.take(np.array([2, 0])).tolist() == [[4.0, 10.0], [0.0, 6.0]]
    assert domain.labels.tolist() == ["1", "1", "1"]


def test_large_tables_stay_in_their_file(tmp_path, monkeypatch, write):
    path = write(tmp_path / "a.arrow")
    small = read(f"{path}?domain=dvd", input=["price", "domain"], label="label")
    monkeypatch.setattr(tables, "IN_MEMORY", 0)
    large = read(f"{path}?domain=dvd", input=["price", "domain"], label="label")
    assert isinstance(large.rows, Subset)
    assert large.fingerprint == small.fingerprint
    index = np.array([2, 0, 2])
    pd.testing.assert_frame_equal(large.rows.take(index), small.rows.take(index))


def test_poisoned_labels_change_nothing_unless_asked_for(tmp_path, table_name, write, frame):
    clean = read(write(tmp_path / table_name), input="text")
    poison = frame.assign(label=["inf", None, "?", "1e999", "", "x" * 100])
    poisoned = read(write(tmp_path / table_name, poison), input="text")
    assert poisoned.labels is None
    assert poisoned.schema == clean.schema
    assert poisoned.ids.tolist() == clean.ids.tolist()
    with pytest.raises(DataError, match="rows have no value"):
        read(tmp_path / table_name, input="text", label="label")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_rows_without_a_label_may_be_left_out_and_others_keep_their_numbers(tmp_path, ending):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": ["x", None, "y", "z"], "c": [1, 1, 0, None]})
    place = tmp_path / f"rows.{ending}"
    write = {"csv": frame.to_csv, "parquet": frame.to_parquet}.get(ending)
    frame.to_json(place, orient="records", lines=True) if write is None else write(place, index=False)
    kept = read(f"{place}?b!=", input="a", label="b", modality="array")
    assert kept.labels.tolist() == ["x", "y", "z"]
    with pytest.raises(DataError, match=r"1 of 3 rows have no value \(the first is row 4\); .* FILE\?COLUMN!="):
        read(f"{place}?b!=", input="a", label="c", modality="array")


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_list_of_words_is_a_text(tmp_path, ending):
    frame = pd.DataFrame({"words": [["Ada", "met", "us."], [], ["Bob"]], "label": ["a", "b", "a"]})
    place = tmp_path / f"a.{ending}"
    frame.to_json(place, orient="records", lines=True) if ending == "jsonl" else frame.to_parquet(place)
    texts = ["Ada met us.", "", "Bob"]
    for source in (place, frame):
        domain = read(source, input="words", label="label", modality="text")
        assert domain.rows.take(np.arange(3)) == texts
    for bad, said in ((["New York"], "'New York'"), (["a", ""], "''"), (["a", " b"], "' b'")):
        with pytest.raises(DataError, match=f"row 1: a list of words holds {said}"):
            read(pd.DataFrame({"words": [bad]}), input="words", modality="text")
    with pytest.raises(DataError, match="holds list values, expected texts"):
        read(pd.DataFrame({"words": [[1, 2]]}), input="words", modality="text")


def test_long_texts(tmp_path, write):
    path = write(tmp_path / "a.csv", pd.DataFrame({"text": ["ab cd ef " * 111_112, "short one here"]}))
    assert len(read(path, input="text").rows.take(np.array([0]))[0]) == 1_000_008
    path = write(tmp_path / "b.jsonl", pd.DataFrame({"text": ["short one here", "ab cd ef " * 1_200_000]}))
    with pytest.raises(DataError, match="row 2 holds a text of more than 10,000,000 bytes"):
        read(path, input="text")


@pytest.mark.parametrize("name", ["a.parquet", "packed.arrow"])
def test_larger_than_memory_files_are_unpacked_once_and_mapped(tmp_path, monkeypatch, name, write, frame, reviews):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tables, "IN_MEMORY", 0)
    path = tmp_path / name
    write(path) if name.endswith("parquet") else frame.to_feather(path, compression="lz4")
    before = pa.total_allocated_bytes()
    domain = read(path, input=["text"], label="label", modality="text")
    assert isinstance(domain.rows, ArrowRows)
    assert domain.rows.take(np.array([5, 0])) == [reviews[5], reviews[0]]
    assert pa.total_allocated_bytes() - before == 0
    (cached,) = (tmp_path / "cache" / "acclimate" / "arrow").iterdir()
    stamp = cached.stat().st_mtime_ns
    assert read(path, input=["text"], label="label", modality="text").fingerprint == domain.fingerprint
    assert cached.stat().st_mtime_ns == stamp


def test_arrow_is_mapped_not_copied(tmp_path, frame):
    path = tmp_path / "a.arrow"
    table = pa.Table.from_pandas(pd.concat([frame] * 5000), preserve_index=False)
    with pa.ipc.new_file(str(path), table.schema) as out:
        out.write_table(table)
    del table
    before = pa.total_allocated_bytes()
    domain = read(f"{path}?domain=dvd", input="text", modality="text")
    assert isinstance(domain.rows, Subset)
    assert len(domain) == 15_000
    assert pa.total_allocated_bytes() - before < 10_000


def test_take_over_many_batches_keeps_order_and_repeats(tmp_path, write, reviews):
    domain = read(write(tmp_path / "a.arrow"), input="text", modality="text")
    index = np.array([5, 1, 1, 4, 0, 5])
    assert domain.rows.take(index) == [reviews[i] for i in index]
    assert domain.rows.take(np.array([], dtype=int)) == []


def test_arrow_stream_format(tmp_path, frame):
    path = tmp_path / "a.arrow"
    with pa.ipc.new_stream(str(path), pa.Schema.from_pandas(frame, preserve_index=False)) as out:
        out.write_table(pa.Table.from_pandas(frame, preserve_index=False))
    assert read(path, input="text", label="label").labels.tolist() == ["1", "0", "1", "0", "1", "0"]


def test_real_reviews(shared_data):
    path = shared_data / "text" / "amazon4_blitzer_raw.jsonl.gz"
    domain = read(f"{path}?domain=electronics", input="text", label="label")
    assert len(domain) == 2000
    assert sorted(domain.labels.tolist()).count("1") == 1000
    assert domain.schema.modality == "text"


def test_real_hospitals(shared_data):
    path = shared_data / "medical" / "heart_disease_3hospitals.csv.gz"
    domain = read(f"{path}?hospital=cleveland", input="*", label="num")
    assert len(domain) == 303
    assert len(domain.schema.inputs) == 13
    assert domain.rows.take(np.arange(303))["ca"].isna().sum() == 4


def test_a_column_that_is_called_smiles_is_read_as_texts_with_a_hint():
    frame = pd.DataFrame({"SMILES": ["CCO and more", "c1ccccc1 here"], "label": ["a", "b"]})
    (note,) = read(frame, input="SMILES", label="label", modality=None).notes
    assert note == "modality text: column 'SMILES' holds texts; of molecules pass --modality molecule"
