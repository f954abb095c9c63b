"""Files of surrogates: what is damaged is refused by an error that names the file and the array."""

import copy
import json
import math
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.effort import examples

from adaptwin import SpecError, Surrogate, load_profile, load_surrogate
from adaptwin.profile.profile import shipped_profiles
from adaptwin.surrogate.features import FEATURE_COUNT, STEADY_ANSWER_COUNT, Features
from adaptwin.surrogate.model_tree import Leaf, ModelTree
from adaptwin.surrogate.outputs import NAMES
from adaptwin.surrogate.region import Region
from adaptwin.surrogate.surrogate import OverloadThresholds

LOW = Leaf(constant=0.5, weights={"pace": 0.1, "slots": -0.2}, low=-1.0, high=2.0, rows=7)
HIGH = Leaf(constant=-0.5, weights={}, low=-3.0, high=-0.1, rows=9)
TREE = ModelTree(
    features=("utilisation", "rank", "", "", ""),
    thresholds=(0.0, 2.0, 0.0, 0.0, 0.0),
    right=(4, 3, 0, 0, 0),
    leaves=(LOW, HIGH, LOW),
)
SMALL = Surrogate(
    profile=load_profile(shipped_profiles()[0]),
    trained_on=("h100",),
    source="made by hand",
    windows=(900.0, 3600.0),
    region=Region.around(np.random.default_rng(0).normal(size=(500, FEATURE_COUNT)), Features._fields),
    sure=OverloadThresholds(below=0.01, above=0.99),
    trees=dict.fromkeys(NAMES, TREE),
)
FORM = SMALL.file_form()
RNG = np.random.default_rng(1)
FEATURES = RNG.normal(size=(50, FEATURE_COUNT)) * 3.0
STEADY_ANSWERS = RNG.uniform(0.0, 2.0, (50, STEADY_ANSWER_COUNT))


def changed(place, value):
    """The file form with the value at a place replaced, or left out if the value is `...`."""
    form = copy.deepcopy(FORM)
    inside = form
    for key in place[:-1]:
        inside = inside[key]
    if value is ...:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    return form


def places(form, so_far=()):
    """All places of a file form, of mappings and lists as well as of values."""
    keys = form.keys() if isinstance(form, dict) else range(len(form)) if isinstance(form, list) else ()
    for key in keys:
        yield (*so_far, key)
        yield from places(form[key], (*so_far, key))


PLACES = [place for place in places(FORM) if place[0] != "profile"]
BAD = [math.nan, math.inf, -math.inf, 1e308, -1e308, -1, 0, 3, 2**31, 2**63, 10**400, 0.5, "", "1.0", "x", True, None]


def predicted(surrogate):
    """All that compiled code computes from the arrays of the file."""
    answers, inside = surrogate.predict_features(FEATURES, STEADY_ANSWERS)
    overloads, within = surrogate.overloads(FEATURES)
    assert np.isfinite(answers).all()
    assert ((overloads >= 0.0) & (overloads <= 1.0)).all()
    assert inside.tolist() == within.tolist()
    return answers


def read_or_refused(file):
    """The surrogate, or the error that names its file."""
    try:
        return load_surrogate(file)
    except SpecError as error:
        return error if error.file == file else pytest.fail(f"{error} does not name the file")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "small.json"


def test_a_surrogate_reads_back_as_it_was_written(file):
    SMALL.write(file)
    assert load_surrogate(file) == SMALL
    assert predicted(load_surrogate(file)).tolist() == predicted(SMALL).tolist()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("trees", "served"), ..., "the tree for 'served' is missing"),
        (("trees", "speed"), FORM["trees"]["served"], "trees: 'speed' is not one of served"),
        (("trees", "served", "features", 0), "mood", "trees.served: 'mood' is not a feature of this version"),
        (("trees", "served", "leaves", 0, "weights"), {"mood": 1.0}, "trees.served: 'mood' is not a feature"),
        (("trees", "served", "leaves", 1, "weights"), {f"w{i}": 1.0 for i in range(9)}, "leaves[1].weights"),
        (("trees", "served", "leaves", 2, "low"), 3.0, "trees.served.leaves[2]: low 3 is above high 2"),
        (("trees", "served", "thresholds", 1), math.nan, "trees.served.thresholds[1]"),
        (("trees", "served", "thresholds"), [0.0], "trees.served: features, thresholds, right and leaves"),
        (("trees", "served", "right", 1), 10**6, "trees.served: right[1]: 1000000 is not the node after"),
        (("trees", "served", "right", 0), 4.5, "trees.served.right[0]"),
        (("region", "low"), FORM["region"]["low"][:-1], "region: low: 45 entries for 46 features"),
        (("region", "mean"), [], "region: mean: 0 entries for 46 features"),
        (("region", "high", 5), -1e9, "region: low[5]"),
        (("region", "high", 5), "9", "region.high[5]"),
        (("region", "whitening", 7), [1.0, 2.0], "region: whitening[7]: 2 entries instead of 8"),
        (("region", "whitening"), [[1.0]], "region: whitening: 1 entries for 46 features"),
        (("region", "whitening", 3, 2), math.inf, "region.whitening[3][2]"),
        (("region", "farthest"), 0.0, "region.farthest: 0.0 must be above 0"),
        (("region", "features"), FORM["region"]["features"][::-1], "region.features: are not those of this version"),
        (("windows",), [3600.0, 900.0], "windows: the shortest, 3600, is above the longest, 900"),
        (("windows", 1), math.inf, "windows[1]"),
        (("sure",), {"below": 0.9, "above": 0.1}, "sure: below 0.9 is above 0.1"),
        (("version",), 2, "version: unknown key"),
    ],
)
def test_an_array_that_is_damaged_is_named(file, place, value, message):
    file.write_text(json.dumps(changed(place, value)), encoding="utf-8")
    with pytest.raises(SpecError) as error:
        load_surrogate(file)
    assert str(error.value).startswith(f"{file}: ")
    assert message in str(error.value)


@given(place=st.sampled_from(PLACES), value=st.sampled_from([..., [], {}, *BAD]))
@settings(deadline=None, max_examples=examples(400), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_any_value_replaced_is_refused_or_predicts_finite_figures(file, place, value):
    file.write_text(json.dumps(changed(place, value)), encoding="utf-8")
    found = read_or_refused(file)
    if isinstance(found, SpecError):
        assert place[0] in found.field + found.message
    else:
        predicted(found)


@given(place=st.sampled_from([place for place in PLACES if isinstance(place[-1], int)]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_array_that_lacks_an_entry_is_refused(file, place):
    file.write_text(json.dumps(changed(place, ...)), encoding="utf-8")
    with pytest.raises(SpecError) as error:
        load_surrogate(file)
    assert place[0] in error.value.field


@given(data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_damaged_bytes_is_refused_or_predicts_finite_figures(file, data):
    content = bytearray(json.dumps(FORM).encode())
    if data.draw(st.booleans(), "truncated"):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(0, 3), "damaged bytes")):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(content))
    found = read_or_refused(file)
    if not isinstance(found, SpecError):
        predicted(found)


@pytest.mark.parametrize("suffix", [".json", ".pkl", ""])
def test_pickles_and_archives_are_refused_unread(tmp_path, suffix):
    file = tmp_path / f"surrogate{suffix}"
    file.write_bytes(pickle.dumps(_Boom()))
    with pytest.raises(SpecError, match=r"cannot be read|not valid"):
        load_surrogate(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("surrogate.json", json.dumps(FORM))
    with pytest.raises(SpecError, match=r"cannot be read|not valid|this is an Excel workbook or a ZIP archive"):
        load_surrogate(file)


class _Boom:
    """Fails if it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("the pickle was executed",)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"trees": ' * 50_000, '{"source": ' + "9" * 5000 + "}", "[]", "null"])
def test_a_file_that_no_parser_can_take_is_refused(file, text):
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as error:
        load_surrogate(file)
    assert error.value.file == file
