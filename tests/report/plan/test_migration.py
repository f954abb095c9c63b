"""The steps of a migration, similar ones on one line, in an order that means the same."""

from adaptwin.plan.migration import Migration, Step
from adaptwin.report.plan.migration import changes_sentence, step_lines
from adaptwin.twin.server import Server


def load(adapter, server):
    return Step(action="load", adapter=adapter, server=server)


def route(adapter, **shares):
    return Step(action="route", adapter=adapter, shares=shares)


def test_loads_that_alternate_between_servers_take_one_line_per_server():
    assert step_lines([load("a", "gpu-0"), load("b", "gpu-3"), load("c", "gpu-0"), load("d", "gpu-3")]) == [
        "load a, c on gpu-0",
        "load b, d on gpu-3",
    ]


def test_loads_before_and_after_a_route_stay_apart():
    steps = [load("a", "gpu-0"), route("a", **{"gpu-0": 1.0}), load("b", "gpu-0"), route("b", **{"gpu-0": 1.0})]
    assert step_lines(steps) == [
        "load a on gpu-0",
        "route a to gpu-0",
        "load b on gpu-0",
        "route b to gpu-0",
    ]


def test_routes_to_servers_and_refusals_are_different_lines():
    assert step_lines([route("a", **{"gpu-1": 0.5, "gpu-0": 0.5}), route("b")]) == [
        "route a to gpu-0 (50 %), gpu-1 (50 %)",
        "refuse requests for b",
    ]


def test_routes_say_which_adapter_goes_where_and_name_the_first_of_many():
    whole = [route(f"a{i}", **{f"gpu-{i % 2}": 1.0}) for i in range(14)]
    split = [route(f"b{i}", **{"gpu-0": 0.1 * i, "gpu-1": 1 - 0.1 * i}) for i in range(1, 9)]
    assert step_lines([*split, *whole]) == [
        "route a0, a2, a4, a6, a8 and 2 more to gpu-0",
        "route a1, a3, a5, a7, a9 and 2 more to gpu-1",
        *(f"route b{i} to gpu-0 ({10 * i} %), gpu-1 ({100 - 10 * i} %)" for i in range(1, 6)),
        "route 3 more adapters to several servers each",
    ]


def test_many_adapters_are_counted():
    assert step_lines([load(f"a{i}", "gpu-0") for i in range(4)]) == ["load 4 adapters on gpu-0"]


def test_each_server_that_starts_has_its_settings():
    settings = Server(max_loras=4, max_lora_rank=16)
    starts = [Step(action="start", server=f"gpu-{i}", profile="h100", settings=settings) for i in range(2)]
    assert step_lines(starts) == [f"start gpu-{i} (max_loras 4, max_lora_rank 16)" for i in range(2)]


def test_chosen_settings_and_merged_weights_are_shown_where_a_server_starts():
    chosen = Server(max_loras=4, max_lora_rank=16, max_num_seqs=1024, max_num_batched_tokens=2048)
    merged = Server(max_num_seqs=1024).with_merged_weights()
    steps = [
        Step(action="restart", server="gpu-0", profile="h100", settings=chosen),
        Step(action="restart", server="gpu-1", profile="h100", settings=merged, adapter="hot"),
    ]
    assert step_lines(steps) == [
        "restart gpu-0 (max_loras 4, max_lora_rank 16, max_num_seqs 1,024, max_num_batched_tokens 2,048)",
        "restart gpu-1 (merged weights of hot, max_num_seqs 1,024)",
    ]


def test_servers_that_get_more_than_they_bear_are_named():
    found = Migration(gpus_before=2, extra_gpus=0, moves=0, restarts=1, added=0, departed=0, steps=())
    assert "bear" not in changes_sentence(found, 2)
    several = found.model_copy(update={"overloaded": tuple(f"gpu-{i}" for i in range(5))})
    said = "gpu-0, gpu-1, gpu-2 and 2 more get more traffic than they bear"
    assert said in changes_sentence(several, 2)
    assert "gpu-1 gets more traffic than it bears" in changes_sentence(
        found.model_copy(update={"overloaded": ("gpu-1",)}), 2
    )
