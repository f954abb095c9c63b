import inspect
import math
import re

import pytest

from adaptwin.profile.profile import load_profile
from adaptwin.steady_state.costs import costs_of
from adaptwin.surrogate import features
from adaptwin.surrogate.features import Features, features_of
from adaptwin.surrogate.vocabulary import VOCABULARY
from adaptwin.twin.server import Server
from adaptwin.workload.demand.traffic import demands_of, sum_demands
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Adapter, Workload

# A server with 16 slots; 40 adapters, of which one gets a quarter of the 2 requests/s.
SERVER = Server(max_loras=16, max_lora_rank=32, max_num_seqs=100, async_scheduling=True)
REQUESTS = 2.0 * 900.0
NATURAL = {
    "slots": 16.0,
    "adapters": 40.0,
    "slot_supply": 0.4,
    "rank": 32.0,
    "prompt": 250.0,
    "answer": 231.0,
    "prompt_spread": 0.0,
    "lora_share": 1.0,
    "hottest": 0.25,
    "burstiness": 1.0,
    "requests": REQUESTS,
    "rejected": 0.0,
    "is_async": 1.0,
}


def test_every_feature_has_a_word_and_no_two_the_same() -> None:
    assert tuple(VOCABULARY) == Features._fields
    phrases = [word.phrase for word in VOCABULARY.values()]
    assert len(set(phrases)) == len(phrases)


def test_logarithms_are_those_that_the_features_say_they_are() -> None:
    comments = dict(re.findall(r"^    (\w+): float  # (.*)$", inspect.getsource(features), re.MULTILINE))
    for name, word in VOCABULARY.items():
        comment = comments.get(name, "")
        if comment.startswith("log of one plus"):
            assert word.scale == "log of one plus", name
        elif comment.startswith("log of") or name == "slot_pressure_later":  # "the same if ..."
            assert word.scale == "log", name
        else:
            assert word.scale == "plain", name


def test_natural_values_are_those_of_the_server_and_its_traffic() -> None:
    profile = load_profile("h100-64gb-llama-3.1-8b-instruct")
    rates = [0.5, *[1.5 / 39.0] * 39]
    adapters = tuple(Adapter(name=f"a{i}", rank=8, rate=rate) for i, rate in enumerate(rates))
    workload = Workload(adapters=adapters, lengths=Lengths.fixed(250, 231), duration=900.0)
    demands = demands_of(workload, early_stop_share=0.0, early_stop_reach=0.0, longest=profile.model.max_model_len)
    values, _ = features_of(sum_demands(demands), SERVER.limits(profile), costs_of(profile, SERVER), 900.0)
    natural = {name: word.natural(value) for (name, word), value in zip(VOCABULARY.items(), values, strict=True)}
    assert {name: natural[name] for name in NATURAL} == pytest.approx(NATURAL)
    assert 0.005 < natural["pace"] < 0.1
    assert natural["slot_pressure"] == pytest.approx(math.exp(values[Features._fields.index("slot_pressure")]))
