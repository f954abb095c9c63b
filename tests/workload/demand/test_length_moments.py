"""LengthMoments: means per request, worked out by hand and computed over all pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.twin.scenarios import plain_profile

from adaptwin import Adapter, Lengths, Server, Workload
from adaptwin.twin.kernel.play import play
from adaptwin.twin.scenario import make_scenario
from adaptwin.workload.demand.length_moments import (
    LengthMoments,
    _independent_sums,
    _joint_sums,
    length_moments,
    longest_mean_rest,
)
from adaptwin.workload.drawing.early_stops import end_early
from adaptwin.workload.drawing.requests import draw_requests

PLENTY = 1_000_000


def moments(lengths, *, share=0.0, reach=1.0, longest=PLENTY) -> LengthMoments:
    return length_moments(lengths, share, reach, longest)


# By hand


def test_each_answer_token_but_the_first_reads_the_prompt_and_the_answer_so_far():
    # 10 + 11 + 12 cached tokens are read for the second, third and fourth token.
    assert moments(Lengths.fixed(10, 4)) == LengthMoments(
        served=1.0, prompt=10.0, answer=4.0, asked=4.0, context=33.0, prompt_squares=100.0, answer_squares=16.0
    )


def test_an_answer_of_one_token_reads_nothing():
    assert moments(Lengths.fixed(10, 1)).context == 0.0


def test_the_longest_mean_rest_is_at_the_age_with_the_most_tokens_left():
    assert longest_mean_rest(Lengths.fixed(10, 4), PLENTY) == 4.0
    assert longest_mean_rest(Lengths.empirical([(1, 1), (1, 2), (1, 9)]), PLENTY) == 7.0  # after two tokens
    assert longest_mean_rest(Lengths.empirical([(1, 8), (1, 9), (1, 10)]), PLENTY) == 9.0
    assert longest_mean_rest(Lengths.fixed(10, 4), 3) == 3.0


def test_moments_are_means_over_requests():
    # The second request reads 20 + 21 + 22 + 23 + 24 = 110 tokens.
    assert moments(Lengths.empirical([(10, 4), (20, 6)])) == LengthMoments(
        served=1.0, prompt=15.0, answer=5.0, asked=5.0, context=71.5, prompt_squares=250.0, answer_squares=26.0
    )


def test_requests_that_are_too_long_are_rejected_and_count_as_zero():
    pairs = Lengths.empirical([(10, 4), (20, 6)])
    assert moments(pairs, longest=26) == moments(pairs)
    assert moments(pairs, longest=25) == LengthMoments(0.5, 5.0, 2.0, 2.0, 16.5, 50.0, 8.0)
    assert moments(pairs, longest=13) == LengthMoments(*[0.0] * 7)


def test_answers_that_end_early_are_asked_for_whole_and_given_in_part():
    # Half of the requests give 4 of 8 tokens: these read 10 + 11 + 12 tokens, the others 10 + ... + 16 = 91.
    limits = Lengths.empirical([(10, 8)], are_limits=True)
    assert moments(limits, share=0.5, reach=0.5) == LengthMoments(
        served=1.0, prompt=10.0, answer=6.0, asked=8.0, context=62.0, prompt_squares=100.0, answer_squares=40.0
    )


def test_an_early_end_leaves_one_token():
    limits = Lengths.empirical([(10, 2)], are_limits=True)
    assert moments(limits, share=1.0, reach=0.1).answer == 1.0


def test_a_request_is_rejected_by_the_tokens_asked_for_not_by_those_given():
    limits = Lengths.empirical([(10, 8)], are_limits=True)
    assert moments(limits, share=1.0, reach=0.5, longest=17).served == 0.0


def test_answers_that_are_no_limits_do_not_end_early():
    lengths = Lengths.fixed(10, 8)
    assert moments(lengths, share=0.5, reach=0.5) == moments(lengths)


# Laws

TOKENS = st.lists(st.integers(1, 60), min_size=1, max_size=12)


@given(prompt=TOKENS, answer=TOKENS, longest=st.integers(1, 130), reach=st.sampled_from([0.1, 0.5, 1.0]))
def test_independent_moments_are_the_joint_moments_of_the_full_product_table(prompt, answer, longest, reach):
    inputs, outputs = np.array(prompt, np.float64), np.array(answer, np.float64)
    pairs = np.array([(i, o) for i in inputs for o in outputs]).T
    said = [np.maximum(1.0, reach * outputs), np.maximum(1.0, reach * pairs[1])]
    independent = _independent_sums(inputs, outputs, said[0], longest)
    assert independent == pytest.approx(_joint_sums(pairs[0], pairs[1], said[1], longest))


def test_the_moments_of_a_lognormal_are_those_of_its_product_table():
    lengths = Lengths.lognormal(input_mean=300, input_cv=1.0, output_mean=100, output_cv=0.5)
    table = lengths.table()
    prompt, answer = (column.ravel().astype(np.float64) for column in np.meshgrid(table.input, table.output))
    kept = prompt + answer <= 500
    by_pairs = moments(lengths, longest=500)
    assert by_pairs.served == pytest.approx(kept.mean())
    assert 0.5 < by_pairs.served < 0.95
    assert by_pairs.prompt == pytest.approx((kept * prompt).mean())
    assert by_pairs.answer == by_pairs.asked == pytest.approx((kept * answer).mean())
    assert by_pairs.context == pytest.approx((kept * (answer - 1) * (prompt + (answer - 2) / 2)).mean(), rel=1e-4)
    assert by_pairs.prompt_squares == pytest.approx((kept * prompt**2).mean())


@given(
    pairs=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=10),
    share=st.floats(0, 1),
    reach=st.floats(0.01, 1),
    longest=st.integers(1, 110),
)
def test_a_shorter_limit_serves_no_more_and_an_early_end_gives_no_more(pairs, share, reach, longest):
    lengths = Lengths.empirical(pairs, are_limits=True)
    some, less = (moments(lengths, share=share, reach=reach, longest=n) for n in (longest, longest - 1))
    assert all(b <= a + 1e-9 for a, b in zip(some, less, strict=True))
    assert 0 <= some.served <= 1
    assert some.answer <= some.asked + 1e-9
    assert some.context <= moments(lengths, longest=longest).context + 1e-9


# Against drawn requests and runs of the twin


def test_moments_are_the_means_of_many_requests_that_are_drawn():
    workload = Workload([Adapter("a", 8, 100.0)], duration=600.0)
    drawn = end_early(draw_requests(workload), workload, seed=0, share=0.3, reach=0.4)
    means = moments(workload.lengths, share=0.3, reach=0.4)
    assert len(drawn.arrival) > 50_000
    assert means.prompt == pytest.approx(drawn.input.mean(), rel=0.02)
    assert means.asked == pytest.approx(drawn.asked.mean(), rel=0.02)
    assert means.answer == pytest.approx(drawn.output.mean(), rel=0.02)


def test_the_context_is_what_the_twin_reads():
    lonely = Adapter("a", 8, 0.0, arrivals=(1.0, 3.0, 5.0))
    workload = Workload([lonely], lengths=Lengths.fixed(100, 30), duration=10.0)
    outcome = play(make_scenario(plain_profile(), Server(), workload, seed=0, step_totals=True))
    totals = outcome.step_totals
    assert totals.context == 3 * moments(workload.lengths).context
    assert totals.tokens == 3 * (100 + 29)
