"""Every setting that the twin assumes is a flag, in the versions of vLLM that have the flag."""

import pytest

from adaptwin import Server, derive_profile, load_profile
from adaptwin.export import vllm_flags
from adaptwin.export.vllm_flags import FLAG_SINCE, settings_without_flag

H100 = load_profile("h100-64gb-llama-3.1-8b-instruct")
CACHING = "--enable-prefix-caching"
WITHOUT_FLAG = {"kv_cache_tokens", "merged"}  # vLLM measures its KV cache; a merged model is a model like any other


def on(version):
    return H100.model_copy(update={"vllm_version": version})


def names(flags):
    return {flag.split()[0].removeprefix("--").removeprefix("no-").replace("-", "_") for flag in flags}


def setting_flags(profile, server):
    return [" ".join(flag.words) for flag in vllm_flags.setting_flags(profile, server)]


def lora_flags(profile, server):
    return [" ".join(flag.words) for flag in vllm_flags.lora_flags(profile, server)]


def test_every_setting_is_written_or_is_measured_by_vllm():
    lora = {"specialize_active_lora": True, "lora_target_modules": ("o_proj",), "fully_sharded_loras": True}
    server = Server(max_loras=4, max_lora_rank=16, kv_cache_tokens=100_000, max_num_queued_reqs=500, **lora)
    written = names([*setting_flags(on("0.32.0"), server), *lora_flags(on("0.32.0"), server)])
    assert set(Server.model_fields) == (written & set(Server.model_fields)) | WITHOUT_FLAG
    assert not written & WITHOUT_FLAG


def test_a_default_is_written_with_its_value_so_that_another_gpu_starts_the_same_server():
    """vLLM's defaults for max_num_seqs and token budget are 256 and 2,048 below 70 GiB, 1,024 and 8,192 from there."""
    large = H100.model_copy(update={"memory": H100.memory.model_copy(update={"gpu_bytes": 8.5e10})})
    for profile, seqs, budget in ((H100, 256, 2048), (large, 1024, 8192)):
        flags = setting_flags(profile, Server())
        assert f"--max-num-seqs {seqs}" in flags
        assert f"--max-num-batched-tokens {budget}" in flags


@pytest.mark.parametrize(
    ("version", "flags"),
    [
        ("0.8.5", [CACHING]),
        ("0.9.2", [CACHING]),
        ("0.10.0", [CACHING, "--no-async-scheduling"]),
        ("v0.11.0rc1", [CACHING, "--no-async-scheduling"]),
        ("0.19.0", [CACHING, "--async-scheduling", "--scheduler-reserve-full-isl"]),
        ("0.32.0", [CACHING, "--async-scheduling", "--scheduler-reserve-full-isl", "--watermark 0"]),
        ("1.0", [CACHING, "--async-scheduling", "--scheduler-reserve-full-isl", "--watermark 0"]),
        ("nightly", []),
    ],
)
def test_a_flag_is_written_only_where_that_version_of_vllm_has_it(version, flags):
    assert setting_flags(on(version), Server())[-len(FLAG_SINCE) :][len(FLAG_SINCE) - len(flags) :] == flags
    assert len(setting_flags(on(version), Server())) == 6 + len(flags)
    assert list(settings_without_flag(on(version), Server())) == []


def test_what_is_on_is_switched_on():
    server = Server(async_scheduling=True, scheduler_reserve_full_isl=True, watermark=0.01)
    flags = setting_flags(on("0.32.0"), server)
    assert flags[-3:] == ["--async-scheduling", "--scheduler-reserve-full-isl", "--watermark 0.01"]
    assert list(settings_without_flag(on("0.10.0"), server)) == ["scheduler_reserve_full_isl true", "watermark 0.01"]


def test_host_memory_holds_the_slots_unless_more_is_asked_for():
    assert "--max-cpu-loras 4" in lora_flags(H100, Server(max_loras=4))
    assert "--max-cpu-loras 9" in lora_flags(H100, Server(max_loras=4, max_cpu_loras=9))


def test_flags_of_lora_are_written_where_the_version_has_them():
    server = Server(max_loras=4, specialize_active_lora=True, lora_target_modules=("q_proj", "v_proj"))
    assert lora_flags(on("0.17.0"), server)[-2:] == ["--specialize-active-lora", "--lora-target-modules q_proj v_proj"]
    assert lora_flags(on("0.15.0"), server)[-1] == "--specialize-active-lora"
    assert list(settings_without_flag(on("0.15.0"), server)) == ["lora_target_modules q_proj, v_proj"]
    assert len(lora_flags(on("0.32.0"), Server(max_loras=4))) == 4


def test_a_group_is_started_with_its_size_and_its_adapters_cut_as_planned(group_of):
    assert setting_flags(group_of(4), Server())[0] == "--tensor-parallel-size 4"
    assert not any("tensor" in flag for flag in setting_flags(group_of(1), Server()))
    assert "--fully-sharded-loras" in lora_flags(group_of(4), Server(fully_sharded_loras=True))
    assert "--fully-sharded-loras" not in lora_flags(group_of(4), Server())


def test_weights_that_vllm_quantises_itself_and_the_type_of_the_cache_are_flags():
    derived = derive_profile(gpu="h100-sxm", model="Qwen3-8B", quantization="fp8", kv_cache_dtype="fp8")
    assert setting_flags(derived, Server())[:2] == ["--quantization fp8", "--kv-cache-dtype fp8"]
    plain = derive_profile(gpu="h100-sxm", model="Qwen3-8B")
    assert not any("quantization" in flag or "dtype" in flag for flag in setting_flags(plain, Server()))
