"""Spec: values are read from and written to files, and errors name their place."""

import json
import math
import os

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Adapter, AdaptwinError, Lengths, Server, SpecError, Workload
from adaptwin.plan.fleet import read_fleet
from adaptwin.spec import Spec, dump_yaml, field_path, read_mapping
from adaptwin.writing import write_atomically


class Point(Spec):
    """A value with several kinds of fields."""

    x: float
    y: float = 0.0
    label: str | None = None
    neighbours: tuple["Point", ...] = ()


FLEET = """\
adapters:
- {name: a, rank: 8, rate: 0.5}
- {name: b, rank: 8, rate: 0.5}
- {name: c, rank: 16, rate: 0.5}
- {name: d, rank: 16, rate: 0.5}
"""


def complaint(tmp_path, text, name="fleet.yaml"):
    """Return the error of reading a workload from this text, without the folder."""
    (tmp_path / name).write_text(text)
    with pytest.raises(SpecError) as error:
        Workload.read(tmp_path / name)
    assert error.value.file == tmp_path / name
    assert error.value.exit_code == 1
    return str(error.value).removeprefix(f"{tmp_path}{os.sep}")


def test_the_file_that_the_errors_are_made_from_is_valid(tmp_path):
    (tmp_path / "fleet.yaml").write_text(FLEET)
    assert len(Workload.read(tmp_path / "fleet.yaml")) == 4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "d, rank: 16",
            "d, rank: 600",
            "fleet.yaml: adapters[3].rank: 600 is above 512, the highest that vLLM serves (1, 8, ",
        ),
        ("d, rank: 16", "d, rank: big", "fleet.yaml: adapters[3].rank: 'big' is not a whole number"),
        ("d, rank: 16, rate: 0.5", "d, rank: 16, rate: -1", "fleet.yaml: adapters[3].rate: -1 must be at least 0"),
        ("d, rank: 16, rate: 0.5", "d, rank: 16", "fleet.yaml: adapters[3].rate: missing"),
        ("d, rank: 16", "d, rnk: 16", "fleet.yaml: adapters[3].rnk: unknown key"),
        ("{name: d", "{name: a", "fleet.yaml: adapters: duplicate name 'a': entries 0 and 3"),
        ("adapters:", "duration: 0\nadapters:", "fleet.yaml: duration: 0 must be above 0"),
        ("adapters:", "seed: 1.5\nadapters:", "fleet.yaml: seed: 1.5 is not a whole number"),
    ],
)
def test_an_error_names_file_field_and_value(tmp_path, old, new, said):
    assert complaint(tmp_path, FLEET.replace(old, new)).startswith(said)


def test_a_value_with_the_suffix_json_is_written_as_json_and_reads_back(tmp_path):
    workload = Workload([Adapter("ä", 8, 0.5)], duration=60.0)
    workload.write(tmp_path / "fleet.json")
    assert json.loads((tmp_path / "fleet.json").read_text(encoding="utf-8"))["adapters"][0]["name"] == "ä"
    assert Workload.read(tmp_path / "fleet.json") == workload


def test_an_unknown_key_lists_the_keys_allowed_there(tmp_path):
    allowed = ", ".join(Adapter.model_fields)
    assert complaint(tmp_path, FLEET.replace("d, rank: 16", "d, rank: 16, rnk: 16")) == (
        f"fleet.yaml: adapters[3].rnk: unknown key (allowed: {allowed}); did you mean rank?"
    )
    allowed = ", ".join(Workload.model_fields)
    assert complaint(tmp_path, "length: sharegpt\n" + FLEET) == (
        f"fleet.yaml: length: unknown key (allowed: {allowed}); did you mean lengths?"
    )


@pytest.mark.parametrize("text", ["", "\n", "# nothing here\n", "---\n"])
def test_an_empty_file_is_called_empty(tmp_path, text):
    assert complaint(tmp_path, text) == "fleet.yaml: the file is empty"


@pytest.mark.parametrize(
    ("text", "line"), [("adapters: [", 2), ("a: 1\nb: {\n", 3), ("a: 1\n  b: 2\n", 2), ("\ta: 1", 1)]
)
def test_broken_yaml_is_named_with_its_line(tmp_path, text, line):
    assert complaint(tmp_path, text).startswith(f"fleet.yaml: line {line}: not valid YAML: ")


def test_broken_json_is_named_with_its_line(tmp_path):
    said = complaint(tmp_path, '{\n "adapters": [],\n}', name="fleet.json")
    assert said.startswith("fleet.json: line 3: not valid JSON: ")


@pytest.mark.parametrize(("text", "kind"), [("- 1\n- 2\n", "a list"), ("hello", "text"), ("3.5", "a number")])
def test_a_file_without_a_mapping_is_refused_with_what_it_holds(tmp_path, text, kind):
    assert complaint(tmp_path, text) == f"fleet.yaml: expected a mapping of fields, found {kind}"


def test_yaml_does_not_make_python_objects(tmp_path):
    assert "not valid YAML" in complaint(tmp_path, "adapters: !!python/object/apply:os.getcwd []")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"none\.yaml: no such file"):
        read_mapping(tmp_path / "none.yaml")
    with pytest.raises(SpecError, match=r"cannot be read: Is a directory"):
        read_mapping(tmp_path)
    (tmp_path / "image.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(SpecError, match=r"image\.yaml: cannot be read: "):
        read_mapping(tmp_path / "image.yaml")


def test_json_and_yaml_hold_the_same(tmp_path):
    (tmp_path / "p.json").write_text('{"x": 1.5, "label": "here"}')
    (tmp_path / "p.yaml").write_text("x: 1.5\nlabel: here\n")
    assert Point.read(tmp_path / "p.json") == Point.read(tmp_path / "p.yaml") == Point(1.5, label="here")


def test_an_error_in_python_names_the_class_and_the_field():
    with pytest.raises(SpecError) as error:
        Adapter("a", 600, 1.0)
    assert str(error.value).startswith("Adapter.rank: 600 is above 512, the highest that vLLM serves")
    with pytest.raises(SpecError, match=r"Server\.slots: unknown key \(allowed: max_loras, "):
        Server(slots=3)


def test_every_error_can_be_caught_by_its_base_class():
    assert issubclass(SpecError, AdaptwinError)
    assert issubclass(SpecError, ValueError)


def test_values_are_frozen():
    with pytest.raises(Exception, match="frozen"):
        Point(1.0).x = 2.0


def test_fields_may_be_given_by_position():
    assert Point(1.0, 2.0) == Point(x=1.0, y=2.0)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (("adapters", 3, "rank"), "adapters[3].rank"),
        ((), ""),
        ((0,), "[0]"),
        (("a", "b", 1, 2, "c"), "a.b[1][2].c"),
    ],
)
def test_a_field_path_reads_as_in_python(location, path):
    assert field_path(location) == path


# Writing.


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_yaml_gives_every_float_back(value):
    assert yaml.safe_load(dump_yaml({"value": value}))["value"] == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-05, "1.0e-05"), (0.1, "0.1"), (1e16, "1.0e+16"), (2.5e-07, "2.5e-07"), (3.0, "3.0"), (-1e-09, "-1.0e-09")],
)
def test_floats_are_written_as_yaml_reads_them(value, text):
    written = dump_yaml({"value": value})
    assert written == f"{{value: {text}}}\n"
    back = yaml.safe_load(written)["value"]
    assert (back, type(back)) == (value, float)


def test_nan_is_written_as_nan():
    assert math.isnan(yaml.safe_load(dump_yaml({"value": float("nan")}))["value"])


def test_a_value_reads_back_as_it_was_written(tmp_path):
    point = Point(1e-05, -2.5e-07, neighbours=(Point(3.0, label="ä: #1"), Point(1e300)))
    point.write(tmp_path / "p.yaml")
    assert Point.read(tmp_path / "p.yaml") == point


def test_a_workload_reads_back_as_it_was_written(tmp_path):
    workload = Workload(
        [
            Adapter("a", 8, 1e-05, slo_ttft=0.5),
            Adapter("b", 0, 0.25, lengths=Lengths.fixed(10, 20), arrivals="gamma:cv=3"),
            Adapter("c", 64, 0.0, lengths=Lengths.empirical([(1, 2), (3, 4)]), arrivals=(0.5, 1.0)),
        ],
        lengths=Lengths.lognormal(input_mean=300, input_cv=1.0, output_mean=200, output_cv=0.5),
        duration=60.0,
        seed=3,
    )
    workload.write(tmp_path / "w.yaml")
    assert Workload.read(tmp_path / "w.yaml") == workload


def test_fields_that_are_none_are_left_out_of_the_file(tmp_path):
    Point(1.0).write(tmp_path / "p.yaml")
    assert "label" not in (tmp_path / "p.yaml").read_text()


def test_writing_replaces_the_file_and_leaves_nothing_else_behind(tmp_path):
    (tmp_path / "p.yaml").write_text("old")
    Point(1.0).write(tmp_path / "p.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["p.yaml"]
    assert Point.read(tmp_path / "p.yaml") == Point(1.0)
    assert (tmp_path / "p.yaml").stat().st_mode & 0o777 == 0o644


def test_a_missing_folder_is_named_and_not_created(tmp_path):
    with pytest.raises(SpecError, match=r"nowhere/p\.yaml: cannot be written: No such file or directory"):
        Point(1.0).write(tmp_path / "nowhere" / "p.yaml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SpecError, match=r"p\.yaml: cannot be written: Permission denied"):
            Point(1.0).write(tmp_path / "p.yaml")
    finally:
        tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_place_as_it_was(tmp_path):
    """There is a folder in the place of the file, so the final move fails."""
    (tmp_path / "p.yaml").mkdir()
    with pytest.raises(SpecError, match=r"p\.yaml: cannot be written: Is a directory"):
        Point(1.0).write(tmp_path / "p.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["p.yaml"]


def test_a_write_that_is_interrupted_keeps_the_old_file(tmp_path):
    (tmp_path / "p.yaml").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "p.yaml", "half a character: \ud800")
    assert (tmp_path / "p.yaml").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["p.yaml"]


def test_a_key_at_the_wrong_level_is_found_where_it_belongs(tmp_path):
    path = tmp_path / "fleet.yaml"
    for key, where in (("headroom", "planning.headroom"), ("max_num_seqs", "server.max_num_seqs")):
        path.write_text(f"{key}: 1\nadapters:\n- {{name: a, rank: 8, rate: 1}}\n", encoding="utf-8")
        with pytest.raises(SpecError, match=rf"{key}: unknown key .*; did you mean {where}\?"):
            read_fleet(path)
