"""Plans for large fleets, whose bulk is dealt to servers that are alike."""

import pytest

from adaptwin import Adapter, SpecError, Workload, load_profile, make_plan, verify
from adaptwin.placement.verification.fresh_seeds import verified_sample
from adaptwin.report.plan.sentences import verified_sentence

PROFILE = "h100-64gb-llama-3.1-8b-instruct"
ADAPTERS = 600


@pytest.fixture(scope="module")
def plan():
    adapters = [Adapter(f"a{i:03}", (8, 16)[i % 2], 0.5 + i / ADAPTERS) for i in range(ADAPTERS)]
    return make_plan(load_profile(PROFILE), Workload(adapters, duration=1800.0))


def test_many_servers_are_like_others_and_say_so(plan):
    assert plan.verified
    by_name = {server.name: server for server in plan.servers}
    like = [server for server in plan.servers if server.like]
    assert len(like) > len(plan.servers) / 3
    for server in like:
        other = by_name[server.like]
        assert other.like is None
        assert server.forecast == other.forecast
        assert server.server.max_lora_rank == other.server.max_lora_rank
        assert len(server.adapters) == pytest.approx(len(other.adapters), rel=0.1)


def test_verification_simulates_samples_and_the_plan_says_how_many(plan):
    samples = [{server.name for server in verified_sample(plan, number)} for number in range(5)]
    standing = {server.like or server.name for server in plan.servers}
    assert all(standing <= sample < {server.name for server in plan.servers} for sample in samples)
    assert len({frozenset(sample) for sample in samples}) > 1
    seen = len(set().union(*samples))
    assert plan.verified_servers == (None if seen == len(plan.servers) else seen)


def test_the_plan_does_not_say_that_every_server_was_simulated_each_time(plan):
    all_seen = plan.model_copy(update={"verified_servers": None})
    assert "5 runs per GPU, or at least one for a GPU that is like another;" in verified_sentence(all_seen)
    asked = all_seen.model_copy(update={"options": plan.options.model_copy(update={"verify": "all"})})
    assert "5 runs per GPU;" in verified_sentence(asked)


def test_all_servers_hold_with_another_seed(plan):
    assert verify(plan, 12345).ok


def test_with_all_every_server_is_simulated(plan):
    asked = plan.model_copy(update={"options": plan.options.model_copy(update={"verify": "all"})})
    assert verified_sample(asked, 0) == list(plan.servers)


@pytest.mark.long
def test_no_more_servers_than_one_by_one(plan, monkeypatch):
    monkeypatch.setattr("adaptwin.placement.strategies.pack.bulk_of", lambda _: None)
    alone = make_plan(plan.profiles[0], plan.workload)
    assert all(server.like is None for server in alone.servers)
    assert plan.gpus <= alone.gpus + 1


def test_like_names_another_server(plan):
    fields = plan.file_form()
    fields["servers"][0]["like"] = "gpu-99"
    with pytest.raises(SpecError, match=r"servers\[0\].like: 'gpu-99' is not a server of the plan"):
        type(plan).parse(fields)
