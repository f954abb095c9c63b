"""VllmServer: what a server lists, measures and refuses, in the forms of vLLM 0.32."""

import asyncio

import pytest

from adaptwin.calibration.sources.metrics_page import metric_samples
from adaptwin.errors import ServerError
from adaptwin.live.answer import TakenAnswer, completion_fields, take_answer
from adaptwin.live.connection import session_with
from adaptwin.live.listed_models import listed_models, require_served
from adaptwin.live.server_metrics import server_metrics
from adaptwin.live.vllm_server import VllmServer


def using(server, use, api_key=None):
    """Call an asynchronous function with the client of a server, and return what it returns."""

    async def work():
        async with session_with(api_key) as session:
            return await use(VllmServer(server.url, session, 20.0))

    return asyncio.run(work())


def test_models_and_version(serve):
    models, version = using(serve(), lambda server: both(server.models(), server.version()))
    assert (models.base.name, models.base.parent, models.base.max_model_len) == ("base-model", None, 4096)
    assert [(adapter.name, adapter.root, adapter.parent) for adapter in models.adapters] == [
        ("a0", "/adapters/a0", "base-model"),
        ("a1", "/adapters/a1", "base-model"),
    ]
    assert models.names == {"base-model", "a0", "a1"}
    assert version == "0.32.0"


async def both(one, two):
    return await one, await two


def test_adapters_that_are_not_loaded_are_named(serve):
    models = using(serve(has_lora=False), lambda server: server.models())
    require_served([], models, "http://x")
    with pytest.raises(ServerError, match="1 of 1 adapters are not loaded there: a0; load them with"):
        require_served(["a0"], models, "http://x")
    with pytest.raises(ServerError, match="7 of 7 adapters are not loaded there: b0, b1, b2, b3, b4 and 2 more"):
        require_served([f"b{i}" for i in range(7)], models, "http://x")


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"data": "x"},
        {"data": [5]},
        {"data": [{"id": 5}]},
        {"data": []},
        {"data": [{"id": "a", "parent": "b"}]},
    ],
)
def test_what_lists_no_base_model_is_no_server_of_ours(data):
    with pytest.raises(ServerError, match="/v1/models lists no "):
        listed_models(data, "http://x")


def test_metrics_after_one_request(serve):
    stand_in = serve()

    async def use(server):
        before = await server.metrics()
        answer = TakenAnswer()
        await take_answer(server.session, server.url, completion_fields("a0", [1] * 20, 5), answer, 20.0)
        assert answer.is_complete
        return before, await server.metrics()

    before, after = using(stand_in, use)
    assert (before.running, before.waiting, before.max_loras, before.kv_cache_tokens) == (0.0, 0.0, None, 16000)
    assert before.waiting_by_reason == {"capacity": 0.0, "deferred": 0.0}
    assert (after.max_loras, after.running_adapters, after.missing) == (8, (), ())
    assert (after.prompt_tokens, after.answer_tokens, after.finished) == (20.0, 5.0, 1.0)
    assert after.steps_since(before) == 5
    assert before.mean_since(before, "itl") is None
    total, count = stand_in.engine.sums["inter_token_latency_seconds"]
    assert (count, after.mean_since(before, "itl")) == (4, pytest.approx(total / 4))
    assert after.mean_since(before, "step_tokens") == 1.0


def test_of_sets_of_adapters_the_newest_counts_and_engines_are_summed():
    page = """
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:gpu_cache_usage_perc{engine="0"} 0.25
vllm:gpu_cache_usage_perc{engine="1"} 0.75
vllm:num_preemptions_total{engine="0"} NaN
vllm:lora_requests_info{max_lora="4",running_lora_adapters="a,b",waiting_lora_adapters="c"} 1.79e+09
vllm:lora_requests_info{max_lora="4",running_lora_adapters="",waiting_lora_adapters=""} 1.78e+09
vllm:time_per_output_token_seconds_sum{engine="0"} 2.0
vllm:time_per_output_token_seconds_count{engine="0"} 4
"""
    found = server_metrics(metric_samples(page))
    assert (found.running, found.kv_usage, found.preemptions) == (7.0, 0.75, None)
    assert (found.running_adapters, found.waiting_adapters, found.max_loras) == (("a", "b"), ("c",), 4)
    assert found.sums == {"itl": (2.0, 4.0)}
    assert found.missing == ("num_requests_waiting",)


def test_an_adapter_is_loaded_and_unloaded(serve):
    stand_in = serve([])

    async def use(server):
        await server.load_adapter("a9", "/adapters/a9/16")
        listed = (await server.models()).names
        await server.unload_adapter("a9")
        return listed, (await server.models()).names

    assert using(stand_in, use) == ({"base-model", "a9"}, {"base-model"})


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("a0", "/adapters/a0", "answered 400: The lora adapter 'a0' has already been loaded."),
        ("new", "org/new", "answered 404: Loading lora new failed: No adapter found for org/new"),
        ("new", "/adapters/new/128", "answered 400: LoRA rank 128 is greater than max_lora_rank 64."),
    ],
)
def test_an_adapter_that_cannot_be_loaded(serve, name, path, message):
    with pytest.raises(ServerError) as caught:
        using(serve(), lambda server: server.load_adapter(name, path))
    assert f"adapter '{name}' from {path} was not loaded: the server {message}" in str(caught.value)
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in str(caught.value)


def test_an_adapter_that_is_not_there_cannot_be_unloaded(serve):
    with pytest.raises(
        ServerError, match=r"adapter 'b' was not unloaded: .* 404: The lora adapter 'b' cannot be found"
    ):
        using(serve(), lambda server: server.unload_adapter("b"))


def test_a_server_that_loads_no_adapters_at_run_time_says_how(serve):
    """Without the variable, vLLM does not have the route."""
    closed = serve(page='{"detail":"Not Found"}', status=404)
    with pytest.raises(ServerError, match="runs with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"):
        using(closed, lambda server: server.load_adapter("a", "/adapters/a"))


def test_without_its_key_a_server_lists_nothing(serve):
    stand_in = serve(api_key="secret")
    with pytest.raises(ServerError, match="give --api-key, or set VLLM_API_KEY or OPENAI_API_KEY"):
        using(stand_in, lambda server: server.models())
    with pytest.raises(ServerError, match="asks for an API key"):
        using(stand_in, lambda server: server.models(), api_key="wrong")
    assert using(stand_in, lambda server: server.models(), api_key="secret").base.name == "base-model"


@pytest.mark.parametrize(
    ("page", "status", "message"),
    [
        ("<html>\nWelcome to nginx!</html>", 200, "/v1/models is no JSON, so this is no server with the API of OpenAI"),
        ("<html>\n<b>Not Found</b></html>", 404, "the server answered 404: <html> <b>Not Found</b></html>"),
        ("{}", 200, "/v1/models lists no models"),
        ("[" * 100_000, 200, "/v1/models is no JSON"),
        ("x" * (65 << 20), 200, "the answer is larger than 64 MiB"),
    ],
)
def test_another_program_is_told_from_vllm(serve, page, status, message):
    with pytest.raises(ServerError) as caught:
        using(serve(page=page, status=status), lambda server: server.models())
    assert message in str(caught.value)


def test_a_page_without_metrics_of_vllm_is_none(serve):
    with pytest.raises(ServerError, match="/metrics has no metrics of vLLM"):
        using(serve(page="python_info 1.0\n"), lambda server: server.metrics())


def test_a_server_that_does_not_answer_is_given_up(serve):
    async def use(server):
        await VllmServer(server.url, server.session, 0.3).models()

    with pytest.raises(ServerError, match=r"no answer within 0.3 s"):
        using(serve(hangs=frozenset({"models"})), use)


@pytest.mark.parametrize(("label", "known"), [('{enable_prefix_caching="False"}', False), ('{block_size="16"}', None)])
def test_the_metrics_page_says_whether_prefixes_are_cached(label, known):
    assert server_metrics(metric_samples(f"vllm:cache_config_info{label} 1.0\n")).caches_prefixes is known
