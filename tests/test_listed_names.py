"""Completion, and values in a line: what people see of a value without asking for it."""

from pathlib import Path

import pytest
from pydantic import BaseModel

import adaptwin
from adaptwin import Adapter, Server, Workload
from adaptwin.spec import Spec

PUBLIC_VALUES = [value for name in adaptwin.__all__ if issubclass(type(value := getattr(adaptwin, name)), type(Spec))]


@pytest.mark.parametrize("value", [*PUBLIC_VALUES, Server(), Adapter("a", 8, 1.0)], ids=lambda value: repr(value)[:30])
def test_nothing_of_pydantic_is_listed_but_the_way_to_a_changed_copy(value):
    public = {name for name in dir(value) if not name.startswith("_")}
    assert public & set(dir(BaseModel)) == {"model_copy"}
    assert not {name for name in public if name.startswith("model_")} - {"model_copy"}
    assert {"read", "write", "parse"} <= public


def test_all_fields_methods_and_properties_are_listed():
    workload = Workload([Adapter("a", 8, 1.0)])
    assert {*Workload.model_fields, "rate", "max_rank", "scaled", "parts"} <= set(dir(workload))
    assert {"rate", "max_rank", "scaled", "parts"} <= set(dir(Workload))


def test_what_is_not_listed_is_still_there():
    assert Server.model_validate({"max_loras": 2}).model_dump()["max_loras"] == 2
    assert Server().model_fields_set == set()


def test_no_field_is_hidden():
    hidden = [
        f"{value.__name__}.{name}" for value in PUBLIC_VALUES for name in value.model_fields if hasattr(BaseModel, name)
    ]
    assert hidden == []


def test_a_value_without_facts_shows_the_fields_that_differ_from_their_defaults():
    assert repr(Adapter("a", 8, 0.5)) == "Adapter(name='a', rank=8, rate=0.5)"
    assert repr(Server(max_loras=4)) == "Server(max_loras=4)"
    assert repr(Server()) == "Server()"
    assert str(Server(max_loras=4)) == repr(Server(max_loras=4))


def test_control_characters_of_names_are_shown_as_escapes(h100):
    assert "\\u202e" in repr(h100.model_copy(update={"name": "evil\u202ename"}))


def test_the_package_says_that_it_has_types():
    assert (Path(adaptwin.__file__).parent / "py.typed").read_text(encoding="utf-8") == ""
