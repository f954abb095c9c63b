"""dlora_best_slots: the placement of dlora, with fewer slots than adapters where that is better."""

from adaptwin import make_plan


def test_adapters_whose_slots_do_not_fit_on_one_gpu_share_one(h100, fleet):
    """At 64 ranks of 5.76 MB and 6 MB more, the slots of 140 adapters take 52 GB; a GPU has 47 GB besides weights."""
    calm = fleet(*[(f"a{i:03}", 64, 0.01) for i in range(140)])
    assert make_plan(h100, calm, strategy="dlora").gpus > 1
    (server,) = make_plan(h100, calm, strategy="dlora_best_slots").servers
    assert len(server.adapters) == 140
    assert 1 <= server.server.max_loras < 100


def test_adapters_are_replicated_as_by_dlora(h100, fleet):
    workload = fleet(("hot", 8, 50.0), *[(f"cold-{i}", 8, 0.2) for i in range(9)])
    own, best = (make_plan(h100, workload, strategy=name) for name in ("dlora", "dlora_best_slots"))
    assert [server.adapters for server in best.servers] == [server.adapters for server in own.servers]
    assert sum("hot" in server.adapters for server in best.servers) == best.gpus > 1
