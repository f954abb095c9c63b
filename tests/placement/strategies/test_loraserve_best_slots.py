"""loraserve_best_slots: the placement of loraserve, on servers that may have fewer slots than adapters."""

from adaptwin import make_plan


def test_a_server_is_not_full_where_another_slot_would_not_start(h100, fleet):
    """The slots of 140 adapters take 52 GB, and a GPU has 47 GB besides weights."""
    calm = fleet(*[(f"a{i:03}", 64, 0.01) for i in range(140)])
    assert make_plan(h100, calm, strategy="loraserve").gpus > 1
    (server,) = make_plan(h100, calm, strategy="loraserve_best_slots").servers
    assert len(server.adapters) == 140
    assert 1 <= server.server.max_loras < 100


def test_ranks_are_kept_apart_as_by_loraserve(h100, fleet):
    adapters = [(f"high-{i}", 64, 3.0) for i in range(6)] + [(f"low-{i}", 8, 3.0) for i in range(6)]
    plan = make_plan(h100, fleet(*adapters), strategy="loraserve_best_slots")
    assert [{name.split("-")[0] for name in server.adapters} for server in plan.servers] == [{"high"}, {"low"}]
