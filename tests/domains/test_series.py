"""Series: windows worked out by hand, gaps, recordings, and what is said of odd ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import acclimate as ac
from acclimate.domains.augment import strong
from acclimate.domains.domain import Windows
from acclimate.domains.frames import stream
from acclimate.domains.schema import check_kinds
from acclimate.domains.series import bridged, cut
from acclimate.domains.split import split
from acclimate.errors import DataError, SettingsError


def engines(sizes=(5, 3), seed=0, **columns):
    """A row for each step: unit, cycle, and ``a`` that counts up through all of them."""
    frames = [pd.DataFrame({"unit": k + 1, "cycle": np.arange(size) + 1}) for k, size in enumerate(sizes)]
    frame = pd.concat(frames, ignore_index=True)
    frame["a"] = np.arange(len(frame), dtype=float)
    return frame.assign(**columns)


@pytest.fixture
def table(tmp_path):
    def write(frame, name="engines.csv"):
        frame.to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return write


def read(place, **options):
    return ac.read(str(place), modality="series", **{"group": "unit", "input": "a", **options})


def every(domain):
    return domain.rows.take(np.arange(len(domain)))


def test_windows_end_with_the_recording():
    found = cut([5, 3], Windows(3, 2))
    assert found.ends.tolist() == [2, 4, 7]
    assert found.begins.tolist() == [0, 0, 5]
    assert found.left.tolist() == [2, 0, 0]
    assert found.owner.tolist() == [0, 0, 1]
    assert cut([5, 3], Windows(3, 2), last=True).ends.tolist() == [4, 7]


def test_a_table_is_cut_recording_by_recording(table):
    domain = read(f"{table(engines())}?window=3&stride=2&time=cycle", label="steps_left")
    assert every(domain)[:, 0].tolist() == [[0, 1, 2], [2, 3, 4], [5, 6, 7]]
    assert domain.labels.tolist() == ["2", "0", "0"]
    assert domain.groups.tolist() == ["1", "1", "2"]


def test_a_short_recording_begins_with_its_first_step_repeated(table):
    domain = read(f"{table(engines((4, 2)))}?window=4")
    assert every(domain)[:, 0].tolist() == [[0, 1, 2, 3], [4, 4, 4, 5]]
    assert any("1 of 2 recordings are shorter than a window (4 steps)" in note for note in domain.notes)


def test_the_label_of_a_window_is_that_of_its_last_step(table):
    frame = engines(state=list("uvwxyabc"))
    domain = read(f"{table(frame)}?window=3&take=last", label="state")
    assert domain.labels.tolist() == ["y", "c"]


def test_time_orders_the_steps_and_not_the_file(table):
    frame = engines((6, 6))
    place = f"{table(frame)}?window=3&time=cycle"
    turned = f"{table(frame.sample(frac=1, random_state=3), 'turned.csv')}?window=3&time=cycle"
    assert read(place, label="steps_left").fingerprint == read(turned, label="steps_left").fingerprint
    assert "cycle" not in read(place, input="*").schema.inputs


def test_two_rows_of_one_time(table):
    frame = engines()
    frame.loc[1, "cycle"] = 1
    with pytest.raises(DataError, match=r"row 2 has the same 'cycle' as another row of recording '1'"):
        read(f"{table(frame)}?time=cycle&window=2")


def test_steps_that_are_not_equally_far_apart_are_told(table):
    frame = engines((9, 9))
    frame.loc[5:8, "cycle"] += 40
    domain = read(f"{table(frame)}?time=cycle&window=3")
    assert any("1 of 2 recordings have steps that are not equally far apart" in note for note in domain.notes)
    assert len(domain) == 14


def test_dates_order_steps(table):
    frame = engines((3, 3)).assign(
        cycle=["2024-01-02", "2024-01-01", "2024-01-03", "2024-02-01", "2024-02-02", "2025-01-01"]
    )
    domain = read(f"{table(frame)}?time=cycle&window=3")
    assert every(domain)[0, 0].tolist() == [1, 0, 2]
    frame.loc[4, "cycle"] = "soon"
    with pytest.raises(DataError, match=r"column 'cycle' holds 'soon' in row 5, which is neither a number nor a date"):
        read(f"{table(frame, 'soon.csv')}?time=cycle&window=3")


def test_gaps_lie_on_the_line_between_their_neighbours_of_the_recording():
    values = np.array([[np.nan], [1.0], [np.nan], [np.nan], [4.0], [np.nan], [np.nan], [9.0]])
    filled, count = bridged(values, [6, 2])
    assert filled[:, 0].tolist() == [1, 1, 2, 3, 4, 4, 9, 9]
    assert count == 5


def test_gaps_of_a_file_are_counted_and_a_lacking_channel_stays_out(table):
    frame = engines(b=1.0)
    frame.loc[1, "a"] = np.nan
    frame.loc[frame.unit == 2, "b"] = np.nan
    domain = read(f"{table(frame)}?window=3&take=last", input=["a", "b"])
    assert domain.notes[1:] == (
        "engines.csv?window=3&take=last: 1 missing values lie on the straight line between their neighbours in the "
        "recording",
        "engines.csv?window=3&take=last: blank in every step of some recordings: b; read there as the source's mean",
        "engines.csv?window=3&take=last: constant, so that nothing is learned from it: b",
    )
    assert np.isnan(every(domain)[1, 1]).all() and not np.isnan(every(domain)[0]).any()


def test_a_channel_that_the_target_lacks_is_the_mean_of_the_source(table):
    source = read(f"{table(engines(b=[*range(8)]))}?window=3", input=["a", "b"])
    target = read(table(engines()[["unit", "cycle", "a"]], "target.csv"), input=["a", "b"], optional=["a", "b"],
                  like=source.schema)  # fmt: skip
    assert target.schema.inputs == ("a", "b") and target.schema.windows.length == 3
    assert np.isnan(every(target)[:, 1]).all()
    assert any("has no b: read as the source's mean" in note for note in target.notes)
    check_kinds(source, target)


def test_no_split_tears_a_recording(table):
    domain = read(f"{table(engines((20,) * 10))}?window=4", label="steps_left")
    train, held = split(domain, 0.3, 0, stratify=False)
    assert len(train) + len(held) == len(domain) and len(held)
    assert not set(domain.groups[train]) & set(domain.groups[held])


@pytest.mark.parametrize(("query", "options", "error", "text"), [
    ("window=0", {}, SettingsError, "window=0; expected a number of steps"),
    ("take=first", {}, SettingsError, "only take=last"),
    ("window=3", {"group": None}, DataError, "which column tells recordings apart"),
    ("window=3", {"input": "name"}, DataError, r"column 'name' holds 'x' in row 1 \(8 of 8 cells are no numbers\)"),
    ("window=3", {"input": "c"}, DataError, "no column 'c'"),
])  # fmt: skip
def test_what_is_refused(table, query, options, error, text):
    place = table(engines(name="x"))
    with pytest.raises(error, match=text):
        read(f"{place}?{query}", **options)


def test_a_word_among_numbers_is_named_with_its_row(table):
    frame = engines(b=["1", "2", "na", "", "off", "3", "4", "err"], c="x").iloc[::-1]
    with pytest.raises(DataError) as caught:
        read(f"{table(frame)}?window=3", input="*")
    assert "column 'b' holds 'err' in row 1 (2 of 8 cells are no numbers); words are in c, too" in str(caught.value)
    assert "--input COLUMN" in str(caught.value)


def test_a_channel_that_is_always_blank_is_told(table):
    frame = engines(b=np.nan)
    source = read(f"{table(frame)}?window=3", input=["a", "b"])
    assert "engines.csv?window=3: blank in every step: b; nothing is learned from it" in source.notes
    target = read(table(frame, "new.csv"), input=["a", "b"], like=source.schema, optional=["a", "b"])
    assert "new.csv: blank in every step: b; read as the source's mean" in target.notes
    pair = ac.domains.domain.join([source, target])
    assert set(pair.notes) == {*source.notes, *target.notes}, "each site has its say"


def test_infinite_values_are_refused(table):
    frame = engines()
    frame.loc[2, "a"] = np.inf
    with pytest.raises(DataError, match="row 3"):
        read(f"{table(frame)}?window=2")


@pytest.fixture
def arrays(tmp_path):
    x = np.arange(24, dtype=np.float16).reshape(4, 6)
    names = np.array(["good", "bad"])
    path = tmp_path / "a.npz"
    np.savez(path, x=x, y=np.array([0, 1, 1, 0], np.uint8), load=np.array([0, 0, 3, 3]), class_names=names)
    return path


def test_arrays_are_series_whole_or_cut(arrays):
    domain = ac.read(f"{arrays}?load=3", modality="series", label="y")
    assert every(domain).shape == (2, 1, 6) and domain.labels.tolist() == ["bad", "good"] and domain.groups is None
    cut_up = ac.read(f"{arrays}?load=3&window=3", modality="series", label="y")
    assert every(cut_up)[:, 0].tolist() == [[12, 13, 14], [15, 16, 17], [18, 19, 20], [21, 22, 23]]
    assert cut_up.labels.tolist() == ["bad", "bad", "good", "good"] and cut_up.groups.tolist() == ["0", "0", "1", "1"]


def test_longer_series_are_cut_and_answers_say_where(arrays):
    like = ac.read(np.zeros((2, 1, 4)) + np.arange(4.0), modality="series").schema
    found = list(stream(f"{arrays}?load=3", modality="series", like=like, size=3))
    frame, domain = found[0]
    assert frame.columns.tolist() == ["row", "start"]
    assert pd.concat([each for each, _ in found]).to_numpy().tolist() == [[0, 2], [1, 2]]
    assert "a.npz?load=3: 2 series of 6 steps are cut into 2 windows of 4; their first 2 are in none" in domain.notes
    shown = [list(frame.itertuples(index=False)) for frame, _ in stream(f"{arrays}?window=3", modality="series")]
    assert [tuple(row) for row in shown[0]] == [(0, 0), (0, 3), (1, 0), (1, 3), (2, 0), (2, 3), (3, 0), (3, 3)]
    whole, _ = next(stream(str(arrays), modality="series"))
    assert whole.columns.tolist() == ["row"] and whole["row"].tolist() == [0, 1, 2, 3]


def test_what_is_odd_in_arrays_is_named_as_in_the_file(tmp_path):
    x = np.ones((4, 2, 5))
    x[3, 1, 2] = np.inf
    np.savez(tmp_path / "a.npz", x=x, load=np.array([0, 0, 3, 3]))
    with pytest.raises(DataError, match=r"row 4 holds inf in channel 2, step 3; series are finite numbers"):
        ac.read(f"{tmp_path / 'a.npz'}?load=3", modality="series")
    assert len(ac.read(f"{tmp_path / 'a.npz'}?load=0", modality="series")) == 2
    np.savez(tmp_path / "b.npz", x=np.array([np.zeros(3), np.zeros(4)], dtype=object))
    with pytest.raises(DataError, match=r"unequal length: pad them .* CSV with a row for each step and --group"):
        ac.read(tmp_path / "b.npz", modality="series")


def test_classes_are_chosen_and_left_out_by_name(arrays):
    kept = ac.read(f"{arrays}?y!=bad", modality="series")
    assert every(kept)[:, 0, 0].tolist() == [0, 18] and kept.labels is None
    both = ac.read(f"{arrays}?load!=0&y!=good", modality="series", label="y")
    assert both.labels.tolist() == ["bad"]
    with pytest.raises(DataError, match="no row has y!=good or bad; values found: bad, good"):
        ac.read(f"{arrays}?y!=good&y!=bad", modality="series")


def test_other_readers_leave_out_values_too(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,site\n1,2,x\n3,4,y\n5,6,z\n")
    kept = ac.read(f"{tmp_path / 't.csv'}?site!=x&site!=z", input="*")
    assert kept.schema.inputs == ("a", "b") and kept.rows.take(np.arange(len(kept)))["a"].tolist() == [3]


def test_series_of_unequal_length_in_memory_and_of_other_shapes():
    with pytest.raises(DataError, match="unequal length"):
        ac.read([np.zeros(3), np.zeros(4)], modality="series")
    one, other = (ac.read(np.zeros((2, 1, n)) + np.arange(n), modality="series") for n in (5, 6))
    with pytest.raises(DataError, match="1 channels of 5 steps, array 1 channels of 6 steps"):
        check_kinds(one, other)


def test_a_stream_shows_the_row_where_each_window_ends(table):
    like = read(f"{table(engines())}?window=3&stride=2&time=cycle").schema
    frame, domain = next(stream(str(table(engines())), modality="series", like=like))
    assert frame["cycle"].tolist() == ["3", "5", "3"] and frame["unit"].tolist() == ["1", "1", "2"]
    assert every(domain)[:, 0].tolist() == [[0, 1, 2], [2, 3, 4], [5, 6, 7]] and domain.labels is None


def test_a_strong_view_changes_values_and_keeps_what_is_not_there():
    raw = np.random.default_rng(0).normal(size=(64, 2, 80)).astype(np.float32)
    raw[:, 1] = np.nan
    view = strong(raw, "series", np.random.default_rng(1))
    assert view.dtype == np.float32 and np.isnan(view[:, 1]).all()
    mean = raw[:, 0].mean(axis=1, keepdims=True)
    assert (np.isclose(view[:, 0], mean, atol=1e-6).sum(axis=1) >= 10).all(), "an eighth is masked"
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(view[:, 0], raw[:, 0], strict=True)]
    assert 0.8 < np.mean(correlation) < 0.99
    assert np.array_equal(view, strong(raw, "series", np.random.default_rng(1)), equal_nan=True)
