"""Fresh seeds: verifications find what `verify` finds, and simulate nothing twice."""

import pytest

from adaptwin import Server, make_plan, verify
from adaptwin.placement.verification import fresh_seeds
from adaptwin.placement.verification.fresh_seeds import Verifications, verification_seeds


@pytest.fixture
def crowded(h100, fleet):
    """Return a plan in which one of two servers has too few slots."""
    plan = make_plan(h100, fleet(*[(f"a{i:02}", 8, 1.2) for i in range(24)]), server=Server(max_num_seqs=256))
    names = [adapter.name for adapter in plan.workload.adapters]
    one = plan.servers[0]
    tight = Server(max_loras=1, max_lora_rank=8, max_cpu_loras=24)
    servers = (
        one.model_copy(update={"name": "gpu-0", "adapters": dict.fromkeys(names[:4], 1.0)}),
        one.model_copy(update={"name": "gpu-1", "adapters": dict.fromkeys(names[4:], 1.0), "server": tight}),
    )
    return plan.model_copy(update={"servers": servers})


def test_they_find_the_servers_that_verify_finds(crowded):
    checks = [verify(crowded, seed) for seed in verification_seeds(crowded)]
    failing = {check.servers[index].name for check in checks for index in check.failing}
    assert Verifications().failing(crowded) == failing == {"gpu-1"}


def test_a_limit_on_latency_counts(crowded):
    limited = crowded.options.model_copy(update={"itl_p99": 0.001})
    assert Verifications().failing(crowded.model_copy(update={"options": limited})) == {"gpu-0", "gpu-1"}


def test_only_servers_that_changed_are_simulated_again(crowded, monkeypatch):
    simulated = []

    def remembered(case, limits):
        simulated.append(case.server)
        return case.server.max_loras > 1

    monkeypatch.setattr(fresh_seeds, "holds", remembered)
    verifications = Verifications()
    assert verifications.failing(crowded) == {"gpu-1"}
    assert len(simulated) == 10
    assert verifications.failing(crowded) == {"gpu-1"}
    assert len(simulated) == 10
    more = crowded.servers[1].model_copy(update={"server": crowded.servers[0].server})
    assert verifications.failing(crowded.model_copy(update={"servers": (crowded.servers[0], more)})) == set()
    assert simulated[10:] == [more.server] * 5
