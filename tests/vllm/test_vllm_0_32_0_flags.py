"""Exported commands, read by the argument parser of vLLM 0.32.0 itself."""

import shlex

import pytest
from tests.export.hard_plans import everyday_plan, hard_plan
from vllm.entrypoints.launchers import cli_args
from vllm.utils.argparse_utils import FlexibleArgumentParser

from adaptwin.export import export
from adaptwin.export.container import serve_words
from adaptwin.export.options import ExportOptions
from adaptwin.export.serving_plan import serving_plan_of

plans = pytest.mark.parametrize("make", [everyday_plan, hard_plan])


def parsed(words):
    """Return what ``vllm serve`` reads in the words after it."""
    return cli_args.make_arg_parser(FlexibleArgumentParser()).parse_args(words)


def newest(plan):
    """Return a plan for vLLM 0.32.0, with the flags that this version has."""
    profiles = [profile.model_copy(update={"vllm_version": "0.32.0"}) for profile in plan.profiles]
    return plan.model_copy(update={"profiles": tuple(profiles)})


def agrees(read, plan, placed):
    used = placed.server.with_defaults(plan.profile_of(placed))
    assert read.max_num_seqs == used.max_num_seqs
    assert read.max_num_batched_tokens == used.max_num_batched_tokens
    assert read.max_model_len == used.max_model_len
    assert read.block_size == used.block_size
    assert read.gpu_memory_utilization == used.gpu_memory_utilization
    assert read.async_scheduling == used.async_scheduling
    assert read.scheduler_reserve_full_isl == used.scheduler_reserve_full_isl
    assert read.watermark == used.watermark
    assert read.enable_chunked_prefill
    assert read.tensor_parallel_size == plan.gpus_of(placed)
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    wanted = [] if placed.merged else [name for name in placed.adapters if ranks[name] > 0]
    assert [module.name for module in read.lora_modules or []] == wanted
    assert bool(read.enable_lora) == bool(wanted)
    if wanted:
        assert (read.max_loras, read.max_lora_rank) == (used.max_loras, used.max_lora_rank)
        assert read.max_cpu_loras == used.max_cpu_loras


@plans
def test_vllm_reads_the_arguments_of_a_container_as_planned(make):
    plan = newest(make())
    servers = {server.name: server for server in serving_plan_of((plan,)).servers}
    for placed in plan.servers:
        if not placed.is_standby:
            read = parsed(serve_words(servers[placed.name], ExportOptions()))
            agrees(read, plan, placed)
            assert read.served_model_name == [servers[placed.name].served_model]


@plans
def test_vllm_reads_the_commands_of_the_script_as_planned(make):
    plan = newest(make())
    lines = export(plan, "vllm")["serve.sh"].replace("\\\n", " ").splitlines()
    commands = [shlex.split(line.removesuffix(" &")) for line in lines if " vllm serve " in line]
    running = [placed for placed in plan.servers if not placed.is_standby]
    for placed, words in zip(running, commands, strict=True):
        agrees(parsed(words[words.index("serve") + 1 :]), plan, placed)
