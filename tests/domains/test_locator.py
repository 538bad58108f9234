import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate.domains.locator import Locator, parse
from acclimate.errors import DataError, SettingsError


def test_repeated_keys_are_kept_in_order():
    found = parse("a/b.csv?domain=books&split=train&domain=dvd")
    assert found == Locator("a/b.csv", {"domain": ("books", "dvd"), "split": ("train",)})
    assert found.name == "b.csv?domain=books&domain=dvd&split=train"


def test_percent_decoding_of_keys_and_values_but_not_of_the_path():
    found = parse("100%25.csv?my%20key=a%26b%3Dc")
    assert found.path == "100%25.csv"
    assert found.select == {"my key": ("a&b=c",)}


def test_question_marks_in_names(tmp_path):
    odd = tmp_path / "what?a=b.csv"
    odd.write_text("x\n1\n")
    assert parse(str(odd)) == Locator(str(odd))
    assert parse(f"{odd}?x=1") == Locator(str(odd), {"x": ("1",)})
    assert parse("why?.csv?x=1") == Locator("why?.csv", {"x": ("1",)})


def test_patterns_with_braces_survive():
    text = "fsdd.zip?name={label}_{speaker}_{index}"
    assert parse(text).one("name") == "{label}_{speaker}_{index}"
    assert str(parse(text)) == text


@given(
    st.text(alphabet="abc?.é %", min_size=1).filter(lambda s: s.strip("?")),
    st.dictionaries(st.text(min_size=1, max_size=5), st.lists(st.text(max_size=5), min_size=1, max_size=3), min_size=1),
)
def test_str_parses_back(path, select):
    locator = Locator(path, {key: tuple(values) for key, values in select.items()})
    assert parse(str(locator)) == locator


@pytest.mark.parametrize("text", ["a.csv?domain", "a.csv?=x", "a.csv?a=b&c", "?a=b"])
def test_malformed_selection_is_a_settings_error(text):
    with pytest.raises(SettingsError, match="key=value"):
        parse(text)


def test_a_key_that_may_be_given_once():
    with pytest.raises(SettingsError, match="given once"):
        parse("a.npz?x=a&x=b").one("x")


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        parse(str(tmp_path / "nothing.csv")).existing()
    with pytest.raises(DataError, match="no such file"):
        parse("x" * 5000).existing()
