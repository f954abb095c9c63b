"""Visible text: what a terminal would obey or hide is an escape, everything else is left as it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hostile import CONTROL, INVISIBLE

from adaptwin import Adapter, SpecError
from adaptwin.plan.constraints import Constraints
from adaptwin.visible import quoted, visible, visible_json

ANY = st.text(max_size=50)


@given(ANY)
def test_no_invisible_character_is_left(text):
    shown = visible(text)
    assert not [character for character in shown if character in (*CONTROL, *INVISIBLE)]
    assert visible(shown) == shown


@given(st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="\u3164\u115f\u1160\uffa0")))
def test_ordinary_text_stays_as_it_is(text):
    assert visible(text) == text


def test_what_is_escaped():
    assert visible("\x1b[31m\n\u202e\u200b\U000e0041") == "\\x1b[31m\\n\\u202e\\u200b\\U000e0041"
    assert visible("one\ntwo", keep="\n") == "one\ntwo"
    assert visible("日本語 ünïcode é") == "日本語 ünïcode é"


@given(st.recursive(ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner), max_leaves=5))
def test_visible_json_reads_back_equal(value):
    text = visible_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(text) == json.loads(json.dumps(value))
    assert not [character for character in text if character in ("\x9b", "\x7f", *INVISIBLE)]


def test_long_values_are_shortened():
    assert len(quoted("a" * 5000)) == 80
    assert quoted(3) == "3"


@pytest.mark.parametrize("character", CONTROL)
@pytest.mark.parametrize("field", ["name", "artifact", "base"])
def test_a_control_character_in_a_name_is_refused_and_shown_as_an_escape(character, field):
    with pytest.raises(SpecError, match=rf"^Adapter.{field}: 'x.*y' has a (line break|control character)") as error:
        Adapter(**{"name": "a", "rank": 8, "rate": 1.0, field: f"x{character}y"})
    assert character not in str(error.value)


@pytest.mark.parametrize("character", CONTROL)
@pytest.mark.parametrize(
    "fields",
    [{"pinned": {"a": "gpu{}"}}, {"pinned": {"a{}": "gpu"}}, {"apart": [["a", "b{}"]]}, {"together": [["a", "b{}"]]}],
    ids=str,
)
def test_a_control_character_in_a_constraint_is_refused(character, fields):
    wild = json.loads(json.dumps(fields).replace("{}", json.dumps(character)[1:-1]))
    with pytest.raises(SpecError) as error:
        Constraints(**wild)
    assert character not in str(error.value)


def test_a_server_needs_a_name():
    with pytest.raises(SpecError, match="pinned"):
        Constraints(pinned={"a": ""})
