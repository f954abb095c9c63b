"""Lengths: distributions have the given means and shapes, and nothing is clipped."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Adapter, Lengths, SpecError, Workload
from adaptwin.workload.drawing.requests import draw_requests
from adaptwin.workload.lengths import _SHAREGPT_INPUT, _SHAREGPT_OUTPUT, ASSUMED_LENGTHS, _mixture_table

TOKENS = st.integers(1, 4000)


def test_sharegpt_has_its_published_means():
    lengths = Lengths.named("sharegpt")
    assert lengths.mean_input == pytest.approx(222, rel=0.01)
    assert lengths.mean_output == pytest.approx(196, rel=0.01)


def test_a_third_of_the_sharegpt_prompts_is_under_38_tokens():
    assert np.mean(Lengths.named("sharegpt").table().input < 38) == pytest.approx(0.35, abs=0.02)


def test_sharegpt_stays_between_4_and_1024_tokens():
    table = Lengths.named("sharegpt").table()
    for tokens in (table.input, table.output):
        assert tokens.min() >= 4
        assert 1000 <= tokens.max() <= 1024


def test_long_sharegpt_prompts_have_short_answers():
    """A Gaussian copula of correlation r gives ranks a correlation of 6 / pi arcsin(r / 2): -0.37 for r = -0.385."""
    table = Lengths.named("sharegpt").table()
    assert table.joint
    assert correlation_of_ranks(table.input, table.output) == pytest.approx(-0.37, abs=0.01)
    long = table.input >= np.quantile(table.input, 0.9)
    assert table.output[long].mean() < 0.6 * table.output.mean()


def test_pairing_sharegpt_leaves_prompts_and_answers_unchanged():
    """Prompts and answers each keep all entries of their own distribution."""
    table = Lengths.named("sharegpt").table()
    assert np.array_equal(np.sort(table.input), _mixture_table(_SHAREGPT_INPUT))
    assert np.array_equal(np.sort(table.output), _mixture_table(_SHAREGPT_OUTPUT))


def test_a_running_sharegpt_request_holds_some_360_tokens():
    """The mean of prompt and answer so far, over all decode steps; the measured runs show 361.

    A request takes part in as many steps as its answer has tokens and holds half of the answer on average. With prompts
    that are independent of their answers, the mean would be over 420.
    """
    table = Lengths.named("sharegpt").table()
    prompt, answer = table.input.astype(float), table.output.astype(float)
    half_an_answer = (answer**2).mean() / 2 / answer.mean()
    assert 345 < (prompt * answer).mean() / answer.mean() + half_an_answer < 365
    assert prompt.mean() + half_an_answer > 420


def correlation_of_ranks(a, b):
    """Return Spearman's rank correlation, with the middle rank for ties."""
    ranks = [(np.searchsorted(np.sort(x), x) + np.searchsorted(np.sort(x), x, side="right")) / 2 for x in (a, b)]
    return np.corrcoef(*ranks)[0, 1]


def test_fixed_lengths_are_all_the_same():
    table = Lengths.fixed(250, 231).table()
    assert table.input.tolist() == [250]
    assert table.output.tolist() == [231]
    assert table.joint


def test_empirical_lengths_are_the_pairs_themselves():
    table = Lengths.empirical([(12, 80), (300, 40)]).table()
    assert list(zip(table.input, table.output, strict=True)) == [(12, 80), (300, 40)]
    assert table.joint


@given(mean=st.floats(1.0, 4000.0), cv=st.one_of(st.sampled_from([0.0, 0.02, 10.0]), st.floats(0.0, 10.0)))
@settings(max_examples=60, deadline=None)
def test_the_table_of_a_lognormal_has_the_mean_asked_for(mean, cv):
    table = Lengths.lognormal(input_mean=mean, input_cv=cv, output_mean=1.0, output_cv=1.0).table()
    assert table.input.mean() == pytest.approx(mean, rel=0.006)
    assert table.input.min() >= 1
    assert (table.output == 1).all()


def test_equal_lengths_of_a_mean_between_two_numbers_are_some_of_the_one_and_some_of_the_other():
    table = Lengths.lognormal(input_mean=5.25, input_cv=0.0, output_mean=1.5, output_cv=0.0).table()
    assert np.bincount(table.input).tolist() == [0, 0, 0, 0, 0, 768, 256]
    assert np.bincount(table.output).tolist() == [0, 512, 512]


def test_lognormal_has_the_median_and_spread_of_the_formula():
    table = Lengths.lognormal(input_mean=1000, input_cv=1.0, output_mean=500, output_cv=0.5).table()
    assert np.median(table.input) == pytest.approx(1000 / math.sqrt(2), rel=0.01)
    assert table.input.std() / table.input.mean() == pytest.approx(1.0, rel=0.03)
    assert np.median(table.output) == pytest.approx(500 / math.sqrt(1.25), rel=0.01)
    assert table.output.std() / table.output.mean() == pytest.approx(0.5, rel=0.03)


def test_input_and_output_of_a_lognormal_are_independent():
    lengths = Lengths.lognormal(input_mean=300, input_cv=1.0, output_mean=200, output_cv=1.0)
    requests = draw_requests(Workload([Adapter("a", 8, 10.0)], lengths=lengths, duration=2000.0))
    assert abs(np.corrcoef(requests.input, requests.output)[0, 1]) < 0.03


@given(st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=20))
def test_empirical_means_are_the_means_of_the_pairs(pairs):
    lengths = Lengths.empirical(pairs)
    assert lengths.mean_input == pytest.approx(sum(i for i, _ in pairs) / len(pairs))
    assert lengths.mean_output == pytest.approx(sum(o for _, o in pairs) / len(pairs))


def limits(lengths):
    return lengths.model_copy(update={"are_limits": True})


@pytest.mark.parametrize(
    ("file_form", "lengths"),
    [
        ("sharegpt", Lengths.named("sharegpt")),
        ({"sharegpt": "assumed"}, ASSUMED_LENGTHS),
        ({"fixed": [250, 231]}, Lengths.fixed(250, 231)),
        ({"empirical": [[12, 80], [300, 40]]}, Lengths.empirical([(12, 80), (300, 40)])),
        (
            {"lognormal": {"input_mean": 300.0, "input_cv": 1.0, "output_mean": 200.0, "output_cv": 0.5}},
            Lengths.lognormal(input_mean=300, input_cv=1.0, output_mean=200, output_cv=0.5),
        ),
        (
            {"empirical": [[12, 80], [300, 40]], "are_limits": True},
            Lengths.empirical([(12, 80), (300, 40)], are_limits=True),
        ),
        ({"fixed": [250, 231], "are_limits": True}, limits(Lengths.fixed(250, 231))),
        (
            {
                "lognormal": {"input_mean": 300.0, "input_cv": 1.0, "output_mean": 200.0, "output_cv": 0.5},
                "are_limits": True,
            },
            limits(Lengths.lognormal(input_mean=300, input_cv=1.0, output_mean=200, output_cv=0.5)),
        ),
    ],
)
def test_the_file_form_means_the_same(file_form, lengths):
    assert Lengths.model_validate(file_form) == lengths
    assert lengths.model_dump(mode="json") == file_form


def test_only_sharegpt_lengths_are_limits_by_default():
    assert Lengths.named("sharegpt").are_limits
    for lengths in (Lengths.fixed(250, 231), Lengths.empirical([(12, 80)])):
        assert not lengths.are_limits
        assert limits(lengths) != lengths


def test_sharegpt_lengths_are_the_same_however_they_are_made():
    named = Lengths.named("sharegpt")
    assert named == Lengths(kind="sharegpt") == Lengths.model_validate("sharegpt")


def test_a_workload_without_lengths_assumes_those_of_sharegpt():
    assumed = Workload([]).lengths
    assert assumed == Workload.parse({"adapters": []}).lengths
    assert assumed.assumed
    assert not Workload([], lengths=Lengths.named("sharegpt")).lengths.assumed
    assert (assumed.table().input == Lengths.named("sharegpt").table().input).all()


def test_a_written_fleet_still_knows_that_its_lengths_are_assumed(tmp_path):
    for workload in (Workload([]), Workload([], lengths=Lengths.named("sharegpt"))):
        workload.write(tmp_path / "fleet.yaml")
        assert Workload.read(tmp_path / "fleet.yaml") == workload


def test_only_sharegpt_lengths_can_be_assumed():
    with pytest.raises(SpecError, match="fixed lengths are given, not assumed"):
        Lengths(kind="fixed", pairs=((1, 2),), assumed=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Lengths.named("pile"), "'pile'"),
        (lambda: Lengths.fixed(0, 10), "from 1 to"),
        (lambda: Lengths.empirical([]), "at least one pair"),
        (lambda: Lengths.empirical([(5, -1)]), "from 1 to"),
        (lambda: Lengths(kind="lognormal", input_mean=10.0), "lognormal needs"),
        (
            lambda: Lengths.lognormal(input_mean=0.5, input_cv=1, output_mean=10, output_cv=1),
            "input_mean: 0.5 must be at least 1",
        ),
        (
            lambda: Lengths.lognormal(input_mean=5, input_cv=1, output_mean=10, output_cv=100),
            "output_cv: 100 must be at most 10",
        ),
        (
            lambda: Lengths.lognormal(input_mean=9e6, input_cv=10, output_mean=10, output_cv=1),
            "input_mean 9e\\+06 with input_cv 10 exceeds 10,000,000 tokens at times",
        ),
        (
            lambda: Lengths.lognormal(input_mean=5, input_cv=-1, output_mean=10, output_cv=1),
            "input_cv: -1 must be at least 0",
        ),
    ],
)
def test_invalid_lengths_are_refused(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_an_unknown_name_in_a_workload_names_its_place():
    with pytest.raises(SpecError, match=r"lengths: 'pile' is not a known distribution \(sharegpt\)"):
        Workload.parse({"adapters": [], "lengths": "pile"}, file="fleet.yaml")
