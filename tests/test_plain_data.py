"""Plain data: YAML and JSON are read alike, within bounds, and what they may mean otherwise is told apart."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptwin import SpecError, plain_data
from adaptwin.plain_data import MOST_DEPTH, MOST_DIGITS, Ambiguous, is_number, parse_json, parse_yaml, plain, resolved
from adaptwin.spec import dump_yaml, read_mapping

BOMB = "\n".join(["x0: &x0 [a]", *(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 12))])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-12", -12),
        ("+5", 5),
        ("1e3", 1000.0),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("00.5", 0.5),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("~", None),
        ("Null", None),
        ("", None),
        ("a", "a"),
        ("y", "y"),
        ("1.2.3", "1.2.3"),
        ("2024-05-01-nightly", "2024-05-01-nightly"),
        ("0.8.5", "0.8.5"),
    ],
)
def test_plain_text_stands_for_what_it_looks_like(text, value):
    assert resolved(text) == value
    assert type(resolved(text)) is type(value)


@pytest.mark.parametrize("text", ["yes", "No", "ON", "off", "true", "False"])
def test_words_for_true_and_false_are_ambiguous(text):
    value = resolved(text)
    assert value.truth is (text.lower() in ("yes", "on", "true"))


@pytest.mark.parametrize("text", ["1:30", "1:30:00", "010", "007", "0o7", "0x1F", "0b1", "1_000", "1_0e3"])
def test_numbers_that_readers_take_for_different_ones_are_ambiguous(text):
    assert resolved(text).truth is None


@pytest.mark.parametrize("text", ["2024-05-01", "2026-13-45", "2024-05-01 10:30:00", "2024-05-01T10:30:00Z"])
def test_dates_are_ambiguous_whether_they_exist_or_not(text):
    assert resolved(text).taken_for == "a date"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_text_that_is_written_is_read_as_text(text):
    assert parse_yaml(dump_yaml({"text": text, text or "k": [text]}), "f") == {"text": text, text or "k": [text]}


@pytest.mark.parametrize("text", ["yEs", "08", "0X1F", "0o7", "1_0e5", "1e3", ".INF", "<<", "=", "~", "2024-05-01"])
def test_text_that_readers_would_take_for_something_else_is_written_in_quotes(text):
    assert parse_yaml(dump_yaml({text: text}), "f") == {text: text}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "f: line 2: not valid YAML: duplicate key 'a'"),
        ("- {a: 1}\n---\nb: 1", "f: line 2: not valid YAML: another document begins: a file holds one"),
        ("a: *b", "f: line 1: not valid YAML: the alias *b stands for nothing"),
        ("a: &b [*b]", "f: line 1: not valid YAML: the alias *b holds itself"),
        ("a: 1\n? [x]\n: 1", "f: line 2: not valid YAML: a key must be text, not a list"),
        ("1: a", "f: line 1: not valid YAML: the key '1' is not text: put quotes around it"),
        ("yes: a", "f: line 1: not valid YAML: the key 'yes' is not text: put quotes around it"),
        ("a: !!int foo", "f: line 1: not valid YAML: 'foo' is no !!int"),
        ("a: !!bool foo", "f: line 1: not valid YAML: 'foo' is no !!bool"),
        ("a: !!map []", "f: line 1: not valid YAML: a list is no !!map"),
        ("a: !!timestamp foo", "f: line 1: not valid YAML: '!!timestamp' is not a tag allowed here (!!str, "),
        ("a: !b foo", "f: line 1: not valid YAML: '!b' is not a tag allowed here (!!str, "),
        ("<<: 3", "f: line 1: not valid YAML: << takes a mapping, or a list of mappings"),
        ('a: "\\0"', "f: line 1: '\\x00' holds a character that no name or text can have"),
        (f"a:\n- {'9' * 5000}", "f: line 2: a number of 5,000 characters is too long (at most 1,000)"),
        ("a: " + "[" * 5000, "f: line 1: cannot be read: its lists or mappings are nested too deeply"),
        (BOMB, "f: line 8: holds more than 5,000,000 values"),
        ("a:\n\tb: 1", "f: line 2: not valid YAML: "),
    ],
)
def test_yaml_that_is_refused(text, said):
    with pytest.raises(SpecError) as error:
        parse_yaml(text, "f")
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": [{"b": 1, "b": 2}]}', "f: a[0]: duplicate key 'b'"),
        ('{"a": ["\\u0000"]}', "f: a[0]: '\\x00' holds a character that no name or text can have"),
        ('{"a": "\\ud800"}', "f: a: '\\ud800' holds a character that no name or text can have"),
        ('{"a": ' + "9" * 5000 + "}", "f: a: a number of 5,000 characters is too long (at most 1,000)"),
        ("[" * 100 + "]" * 100, "f: [0][0]"),
        ("[" * 100_000, "f: cannot be read: its lists or mappings are nested too deeply"),
        ("[" + "0," * 5_000_001 + "0]", "f: holds more than 5,000,000 values"),
        ('{"a": 1,\n}', "f: line 2: not valid JSON: "),
    ],
)
def test_json_that_is_refused(text, said):
    with pytest.raises(SpecError) as error:
        parse_json(text, "f")
    assert str(error.value).startswith(said)


def test_aliases_and_merged_mappings_are_read():
    text = "d: &d {rank: 8, rate: 1}\na: {<<: *d, rate: 2}\nb: [*d, *d]\nc: {<<: [{x: 1}, {x: 2, y: 3}], '<<': 4}"
    base = {"rank": 8, "rate": 1}
    merged = {"x": 1, "y": 3, "<<": 4}
    assert parse_yaml(text, "f") == {"d": base, "a": {"rank": 8, "rate": 2}, "b": [base, base], "c": merged}


def test_tags_say_what_plain_text_is():
    assert parse_yaml("[!!str 12, !!float 3, !!int 7, !!null ~, ! 5, !!seq []]", "f") == ["12", 3.0, 7, None, "5", []]


def test_what_is_nested_as_deeply_as_allowed_is_read_alike():
    text = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert parse_yaml(text, "f") == parse_json(text, "f")
    number = "9" * MOST_DIGITS
    assert parse_yaml(number, "f") == parse_json(number, "f") == int(number)


def test_a_byte_order_mark_is_skipped():
    assert parse_yaml("\ufeffa: 1", "f") == parse_json('\ufeff{"a": 1}', "f") == {"a": 1}


def test_plain_data_has_true_and_false():
    assert plain(parse_json('{"a": [true, false, null, "x"]}', "f")) == {"a": [True, False, None, "x"]}
    assert plain(parse_yaml("a: [yes, 1:30]", "f")) == {"a": [True, "1:30"]}
    assert isinstance(parse_yaml("yes", "f"), Ambiguous)


@pytest.mark.parametrize("text", ["1_000", "0x10", "1,5", "inf", "nan", "", "1e", "５", "1 2", "--1"])
def test_what_is_no_number_in_plain_digits(text):
    assert not is_number(text)


@pytest.mark.parametrize("name", ["large.json", "large.yaml"])
def test_a_mapping_with_too_many_keys_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(plain_data, "MOST_KEYS", 3)
    path = tmp_path / name
    path.write_text('{"adapters": {"a": 1, "b": 2, "c": 3, "d": 4}}')
    place = "adapters" if name.endswith("json") else "line 1"
    with pytest.raises(SpecError, match=f"{place}: a mapping of more than 3 keys is too large"):
        read_mapping(path)
