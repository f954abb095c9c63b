"""Step terms: the linear form of the fit equals the twin's step cost, for single steps and for whole runs."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.calibration.simulated_measurements import steps_of, true_profile

from adaptwin import Adapter, Lengths, Server, Workload
from adaptwin.calibration.step_terms import (
    KERNEL_SETTINGS,
    SHAPES,
    STEP_TERMS,
    constants_of,
    means_of_steps,
    means_per_step,
    points,
    term_columns,
    with_constants,
)
from adaptwin.profile.step_cost import StepCost, pairs_of_chunk, step_seconds
from adaptwin.twin.kernel.play import play
from adaptwin.twin.scenario import make_scenario
from adaptwin.twin.step_coefficients import kernels_of, step_coefficients
from adaptwin.twin.step_totals import StepTotals

TRUE = true_profile()

same_every_time = settings(max_examples=100, deadline=None, derandomize=True, database=None)

STEP_COSTS = st.builds(
    StepCost,
    **{
        **{n: st.integers(0, 600) if n in KERNEL_SETTINGS else st.floats(0, 1e-2) for n in StepCost.model_fields},
        **{name: st.floats(1, 5000) for name in SHAPES},
        "expert_share": st.floats(0, 1),
    },
)
KERNELS = kernels_of(TRUE, Server())
STEP = st.tuples(  # slots, rank, requests and their tokens, context, adapters
    st.integers(0, 400),
    st.sampled_from([1, 8, 16, 32, 64, 256]),
    st.tuples(st.integers(1, 16_384) | st.integers(1, 600), st.integers(1, 500)).map(
        lambda step: (min(step), max(1, step[0] // min(step)) * min(step))
    ),
    st.integers(0, 1_000_000),
    st.integers(0, 400),
)
COLUMNS = ("max_loras", "max_lora_rank", "running", "tokens", "context", "adapters")


def seconds_of_steps(cost, steps, kernels=KERNELS):
    """Return the seconds of single steps by the linear form."""
    means = means_of_steps(steps, cost, kernels)
    return term_columns(kernels, steps["max_lora_rank"].to_numpy(), means) @ constants_of(cost)


@same_every_time
@given(cost=STEP_COSTS, rows=st.lists(STEP, min_size=1, max_size=20), is_new=st.booleans())
def test_the_linear_form_is_the_step_cost(cost, rows, is_new):
    flat = [(slots, rank, *step, context, adapters) for slots, rank, step, context, adapters in rows]
    steps, kernels = pl.DataFrame(flat, schema=COLUMNS, orient="row"), KERNELS._replace(skip_base_only=is_new)
    twin = [
        step_seconds(
            cost.resolve(kernels, max_loras=slots, max_lora_rank=rank).with_listed(adapters),
            tokens=tokens,
            sequences=running,
            adapters=adapters,
            context=context,
            pairs=running * pairs_of_chunk(tokens // running, 0) if tokens > running else 0,
        )
        for slots, rank, running, tokens, context, adapters in flat
    ]
    assert seconds_of_steps(cost, steps, kernels) == pytest.approx(twin, rel=1e-9)


@pytest.mark.parametrize("tokens", [TRUE.step_cost.split_tokens, TRUE.step_cost.graph_tokens])
def test_steps_on_either_side_of_a_threshold_are_distinguished(tokens):
    steps = pl.DataFrame([(8, 32, t, t, 5000, 3) for t in (tokens, tokens + 1)], schema=COLUMNS, orient="row")
    cost = step_coefficients(TRUE, Server(max_loras=8, max_lora_rank=32)).with_listed(3)
    twin = [step_seconds(cost, tokens=t, sequences=t, adapters=3, context=5000) for t in (tokens, tokens + 1)]
    assert seconds_of_steps(TRUE.step_cost, steps) == pytest.approx(twin, rel=1e-12)
    assert abs(twin[1] - twin[0]) > 0.5e-3


@pytest.mark.parametrize(
    ("slots", "rate", "lengths"),
    [
        (2, 3.0, Lengths.fixed(40, 12)),  # constant loads: a dozen adapters for two slots
        (
            12,
            1.0,
            Lengths.lognormal(input_mean=600, input_cv=1.0, output_mean=30, output_cv=0.5),
        ),  # steps too large for CUDA graphs
        (4, 40.0, Lengths.fixed(200, 5)),  # overload: requests wait
    ],
    ids=["loads", "long prompts", "overload"],
)
def test_summed_over_a_run_it_is_the_time_that_the_run_was_busy(slots, rate, lengths):
    workload = Workload([Adapter(f"a{i}", (8, 32)[i % 2], rate) for i in range(12)], lengths=lengths, duration=10.0)
    server = Server(max_loras=slots, max_lora_rank=32, max_cpu_loras=12)
    outcome = play(make_scenario(TRUE, server, workload, seed=3, drain=True, step_totals=True))
    totals = outcome.step_totals
    means = means_per_step([totals], [len(workload)])
    step = (term_columns(KERNELS, np.array([32]), means) @ constants_of(TRUE.step_cost)).item()
    cost = TRUE.scheduler_cost
    planning = cost.base * totals.steps + cost.per_running * totals.sequences + cost.per_waiting * totals.waiting
    assert totals.steps == outcome.steps > 100
    busy = (outcome.busy_time - outcome.load_time) / 1e9
    assert busy == pytest.approx(
        totals.steps * step + planning, abs=1e-8 * totals.steps
    )  # whole nanoseconds, and parts of the bend


def test_these_runs_contain_every_term_of_the_form():
    """In the last run, a dozen adapters with long and short prompts and a queue make every sum positive."""
    workload = Workload(
        [Adapter(f"a{i}", 8, 10.0) for i in range(12)],
        lengths=Lengths.lognormal(input_mean=300, input_cv=2.0, output_mean=5, output_cv=0.5),
        duration=10.0,
    )
    server = Server(max_loras=4, max_lora_rank=32, max_cpu_loras=12)
    outcome = play(make_scenario(TRUE, server, workload, seed=3, drain=True, step_totals=True))
    assert [name for name, total in outcome.step_totals._asdict().items() if not total] == ["expert_bend"]
    assert outcome.gpu_loads > 0


def test_means_are_per_step_and_a_run_without_steps_has_none():
    none = StepTotals(*[0] * len(StepTotals._fields))
    two = none._replace(steps=2, tokens=10, bend=3 << 20, eager=1, waiting=1)
    means = means_per_step([two, none], [0, 0])
    assert means["tokens"].tolist() == [5.0, 0.0]
    assert means["bend"].tolist() == [1.5, 0.0]
    assert means["eager"].tolist() == [0.5, 0.0]
    assert means["waiting"].tolist() == [0.5, 0.0]


def test_every_constant_is_a_term_or_a_setting():
    assert sorted([*STEP_TERMS, *KERNEL_SETTINGS, *SHAPES]) == sorted(StepCost.model_fields)


def test_constants_are_put_back_to_five_digits():
    cost = TRUE.step_cost
    assert with_constants(cost, constants_of(cost)) == cost
    thirds = with_constants(cost, np.full(len(STEP_TERMS), 1 / 3))
    assert constants_of(thirds).tolist() == [0.33333] * len(STEP_TERMS)
    assert (thirds.graph_tokens, thirds.split_tokens) == (cost.graph_tokens, cost.split_tokens)


# Many similar steps become one point


def logged(count, tokens, seconds, **fields):
    row = {"max_loras": 4, "max_lora_rank": 8, "context": 100.0, "adapters": 2.0, "running": 3.0, **fields}
    columns = {name: [value] * count for name, value in {**row, "tokens": float(tokens), "seconds": seconds}.items()}
    return pl.DataFrame(columns).select(steps_of(TRUE).columns)


def test_similar_steps_become_their_median_and_rare_ones_are_left_out():
    steps = pl.concat(
        [
            logged(990, 10, 1.0),
            logged(10, 10, 50.0),  # a stall in one of a hundred
            logged(499, 100, 2.0, context=100.0),
            logged(499, 100, 2.0, context=300.0),
            logged(4, 100, 3.0, max_loras=8),  # another server
            logged(3, 5000, 9.0),  # too few
        ]
    )
    assert points(steps.sample(fraction=1.0, shuffle=True, seed=1), TRUE.step_cost).rows() == [
        (4, 8, 10.0, 100.0, 2.0, 3.0, 1.0),
        (4, 8, 100.0, 200.0, 2.0, 3.0, 2.0),
        (8, 8, 100.0, 100.0, 2.0, 3.0, 3.0),
    ]


def test_few_steps_are_points_as_they_are():
    steps = steps_of(TRUE)
    assert points(steps, TRUE.step_cost).equals(steps)


def test_steps_on_both_sides_of_a_jump_are_never_merged():
    sides = {0.010: (120, 127), 0.020: (128, 130), 0.030: (505, 512), 0.040: (513, 520)}
    steps = pl.concat([logged(500, tokens, seconds) for seconds, pair in sides.items() for tokens in pair])
    made = points(steps, TRUE.step_cost)
    assert set(made["seconds"]) == set(sides)
    for seconds, (low, high) in sides.items():
        assert made.filter(pl.col("seconds") == seconds)["tokens"].is_between(low, high).all()
