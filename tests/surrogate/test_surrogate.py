"""Shipped surrogates: predictions inside and outside of the training data, and errors."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.effort import examples

from adaptwin import (
    Adapter,
    Lengths,
    OutOfMemory,
    Server,
    SpecError,
    Workload,
    load_profile,
    load_surrogate,
    simulate,
)
from adaptwin.profile.profile import shipped_profiles
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on
from adaptwin.surrogate.features import FEATURE_COUNT, STEADY_ANSWER_COUNT, features_of
from adaptwin.surrogate.outputs import NAMES
from adaptwin.surrogate.surrogate import shipped_surrogates, surrogate_for
from adaptwin.workload.demand.traffic import sum_demands
from adaptwin.workload.sources.synthetic import synthesize

LLAMA = "h100-64gb-llama-3.1-8b-instruct"
SERVER = Server(max_loras=16, max_lora_rank=16, max_cpu_loras=64, max_num_seqs=512, max_num_batched_tokens=2048)


def fleet(rate, **fields):
    return synthesize(adapters=32, rate=rate, ranks=(8, 16), **fields)


@pytest.fixture(scope="module", params=shipped_profiles())
def surrogate(request):
    return load_surrogate(request.param)


def test_every_shipped_profile_has_a_surrogate_with_its_constants():
    assert shipped_surrogates() == shipped_profiles()
    for name in shipped_profiles():
        assert load_surrogate(name).profile == load_profile(name)


@pytest.mark.parametrize("rate", [0.5, 3.0, 8.0])
def test_predictions_are_near_the_figures_of_the_twin(surrogate, rate):
    workload = fleet(rate)
    prediction, run = surrogate.predict(workload, SERVER), simulate(surrogate.profile, SERVER, workload)
    assert prediction.inside
    assert prediction.throughput == pytest.approx(run.throughput, rel=0.06)
    assert prediction.itl_mean == pytest.approx(run.itl.mean, rel=0.06)
    assert prediction.itl_p99 == pytest.approx(run.itl.p99, rel=0.4)
    assert prediction.ttft_p50 == pytest.approx(run.ttft.p50, rel=0.35)
    assert prediction.starvation < 0.1


def test_very_high_traffic_is_predicted_to_starve(surrogate):
    prediction = surrogate.predict(fleet(80.0), SERVER)
    assert prediction.starvation > 0.95
    assert prediction.overload > 0.95
    assert prediction.throughput < 80 * 418 * 0.9


def test_many_predictions_equal_the_single_ones_in_order(surrogate):
    cases = [(fleet(rate), SERVER) for rate in (4.0, 0.5, 60.0)]
    assert surrogate.predict_many(cases) == [surrogate.predict(*case) for case in cases]


def test_the_probability_of_overload_alone_is_that_among_all_answers(surrogate):
    """The two agree outside of the region as well, and on what is outside."""
    profile, workloads = surrogate.profile, [fleet(rate) for rate in (0.5, 4.0, 8.0, 20.0, 80.0, 3000.0)]
    server = SERVER.limits(profile), costs_of(profile, SERVER)
    rows = [features_of(sum_demands(demands_on(profile, SERVER, w)), *server, w.duration) for w in workloads]
    features, steady_answers = (np.array(column) for column in zip(*rows, strict=True))
    answers, inside = surrogate.predict_features(features, steady_answers)
    alone, within = surrogate.overloads(features)
    assert alone == pytest.approx(answers[:, NAMES.index("overload")])
    assert within.tolist() == inside.tolist()
    assert sorted({*within.tolist()}) == [False, True]
    assert alone[0] < 0.05 < 0.95 < alone[4]


@given(data=st.data())
@settings(deadline=None, max_examples=examples(50))
def test_predicted_figures_do_not_contradict_each_other(data):
    """Whatever the features are: shares and probabilities, latencies within the window, and what implies what."""
    surrogate = load_surrogate(LLAMA)
    features = data.draw(arrays(np.float64, (20, FEATURE_COUNT), elements=st.floats(-30, 30)))
    steady_answers = data.draw(arrays(np.float64, (20, STEADY_ANSWER_COUNT), elements=st.floats(0, 4000)))
    answers, inside = surrogate.predict_features(features, steady_answers)
    figures = dict(zip(NAMES, answers.T, strict=True))
    for name in ("served", "worst_share", "starvation", "overload"):
        assert ((figures[name] >= 0) & (figures[name] <= 1)).all()
    for name in ("itl_mean", "itl_p99", "ttft_p50", "ttft_p99", "e2e_mean"):
        assert ((figures[name] >= 0) & (figures[name] <= steady_answers[:, -1])).all()
    assert (figures["overload"] >= figures["starvation"]).all()
    assert (figures["ttft_p99"] >= figures["ttft_p50"]).all()
    alone, within = surrogate.overloads(features)
    assert alone == pytest.approx(figures["overload"])
    assert within.tolist() == inside.tolist()


def test_without_traffic_no_adapter_is_starved(surrogate):
    prediction = surrogate.predict(Workload([Adapter("a", 8, 0.0)]), SERVER)
    assert (prediction.throughput, prediction.starvation, prediction.inside) == (0.0, 0.0, True)
    assert math.isnan(prediction.itl_mean)


@pytest.mark.parametrize(
    ("workload", "server"),
    [
        (fleet(4.0, arrivals=tuple(float(i) for i in range(3000))), SERVER),
        (fleet(4.0, duration=10.0), SERVER),
        (fleet(4.0), SERVER.model_copy(update={"max_cpu_loras": 16})),
        (fleet(4.0), SERVER.model_copy(update={"watermark": 0.05})),
        (fleet(4.0, lengths=Lengths.fixed(30_000, 5)), SERVER),
    ],
    ids=["replayed arrivals", "short window", "adapters on disk", "a watermark", "very long prompts"],
)
def test_servers_outside_of_the_training_data_are_marked(surrogate, workload, server):
    assert not surrogate.predict(workload, server).inside


@pytest.mark.parametrize(
    ("rate", "fields", "expected"),
    [
        # A request of ShareGPT's lengths varies by a coefficient c of about 1, so n requests vary by sqrt((d + 1) / n).
        (2.0, {}, True),  # 7,200 requests: 2 %
        (0.02, {}, False),  # 72 requests: 17 %
        (2.0, {"arrivals": "gamma:cv=4"}, True),  # d = 16: 5 %
        (0.25, {"arrivals": "gamma:cv=4"}, False),  # 14 %
        (2.0, {"arrivals": "gamma:cv=4", "duration": 900.0}, False),  # 10 %
        (2.0, {"arrivals": "regimes:period=300,factor=1.5"}, True),  # 32 adapters: sqrt(0.17 / 32 / 12 + 0.02^2) = 3 %
        (2.0, {"arrivals": "regimes:period=3000,factor=1.5"}, False),  # hardly more than one regime in the window
    ],
)
def test_windows_in_which_chance_decides_are_outside(surrogate, rate, fields, expected):
    assert surrogate.predict(fleet(rate, **fields), SERVER).inside is expected


def test_more_tenants_of_the_same_restlessness_make_a_window_predictable(surrogate):
    """The rate of one adapter under regimes of factor 2 varies by sqrt(0.5 / 6) = 29 % from hour to hour."""
    restless = "regimes:period=600,factor=2"
    inside = {
        count: surrogate.predict(
            Workload([Adapter(f"a{i}", 8, 2.0 / count) for i in range(count)], arrivals=restless),
            SERVER.model_copy(update={"max_loras": 8}),
        ).inside
        for count in (8, 32)
    }
    assert inside == {8: False, 32: True}  # 10 % and 5 %, and 2 % by the arrivals


def test_a_server_that_does_not_start_or_serve_is_an_error_as_from_the_twin(surrogate):
    with pytest.raises(OutOfMemory):
        surrogate.predict(fleet(1.0), SERVER.model_copy(update={"max_loras": 5000}))
    with pytest.raises(SpecError, match="below the rank 16"):
        surrogate.predict(fleet(1.0), SERVER.model_copy(update={"max_lora_rank": 8}))


def test_a_surrogate_may_be_used_for_another_profile():
    """For a GPU that is half as fast, predictions follow the constants of its profile."""
    shipped = load_profile(LLAMA)
    doubled = {
        name: 2 * getattr(shipped.step_cost, name)
        for name in ("host_base", "weights", "per_token", "lora_launch", "expand_block")
    }
    slow = shipped.model_copy(update={"name": "slow", "step_cost": shipped.step_cost.model_copy(update=doubled)})
    prediction, run = surrogate_for(slow).predict(fleet(3.0), SERVER), simulate(slow, SERVER, fleet(3.0))
    assert run.itl.mean > 1.7 * simulate(shipped, SERVER, fleet(3.0)).itl.mean
    assert prediction.itl_mean == pytest.approx(run.itl.mean, rel=0.08)


def test_a_surrogate_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(SpecError, match="'h200' is neither a file nor one of h100-"):
        load_surrogate("h200")
    (tmp_path / "s.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SpecError, match=r"s\.json: profile: missing"):
        load_surrogate(tmp_path / "s.json")
