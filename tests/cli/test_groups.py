"""Groups of GPUs on the command line: sizes for derived profiles, and what a plan of groups says and exports."""

import pytest

from adaptwin import Plan, SpecError, load_profile, read_fleet
from adaptwin.cli.profile_options import profile_sources
from adaptwin.plan.fleet import fleet_profiles
from adaptwin.profile.profile_source import DerivedProfile, profile_from

PROFILE = "h100-64gb-llama-3.1-8b-instruct"


def sources(**given):
    none = dict.fromkeys(("vllm_version", "sizes", "quantization", "kv_cache_dtype"))
    fields = {"profile": None, "gpu": None, "model": None, **none, **given}
    return profile_sources(fields.pop("profile"), fields.pop("gpu"), fields.pop("model"), **fields)


@pytest.fixture
def group(folder):
    """A file with a profile of groups of two, with a price of one GPU."""
    profile = load_profile(PROFILE).model_copy(
        update={"name": "pair", "tensor_parallel_size": 2, "price_per_hour": 2.5, "measured": None, "spread": ()}
    )
    profile.write(folder / "pair.yaml")
    return folder / "pair.yaml"


def test_each_gpu_with_each_size_is_a_profile():
    found = sources(gpu=["h100-sxm", "l40s"], model="Qwen3-8B", sizes=[1, 2])
    assert [(each.gpu, each.tensor_parallel_size) for each in found] == [
        ("h100-sxm", 1),
        ("h100-sxm", 2),
        ("l40s", 1),
        ("l40s", 2),
    ]


def test_without_sizes_a_server_has_one_gpu():
    assert sources(gpu=["l40s"], model="Qwen3-8B") == [DerivedProfile(gpu="l40s", model="Qwen3-8B")]


def test_kinds_of_weights_and_cache_are_passed_on():
    [found] = sources(gpu=["l40s"], model="Qwen3-8B", quantization="fp8", kv_cache_dtype="fp8")
    assert (found.quantization, found.kv_cache_dtype) == ("fp8", "fp8")


@pytest.mark.parametrize("option", ["--tensor-parallel-size=2", "--quantization=fp8", "--kv-cache-dtype=fp8"])
def test_what_a_profile_is_derived_with_needs_a_gpu(adaptwin, option):
    done = adaptwin("plan", "fleet.yaml", option)
    assert done.code == 1
    said = " ".join(done.err.replace("│", " ").split())
    assert f"{option.partition('=')[0]} needs --gpu and --model, whose profile it is for" in said


@pytest.mark.parametrize("size", [0, 65])
def test_a_group_has_1_to_64_gpus(adaptwin, size):
    words = ("--gpu", "l40s", "--model", "Qwen2.5-3B-Instruct", "--tensor-parallel-size", size)
    assert adaptwin("plan", "fleet.yaml", *words).code == 1
    with pytest.raises(SpecError, match="tensor_parallel_size"):
        DerivedProfile.parse({"gpu": "l40s", "model": "Qwen2.5-3B-Instruct", "tensor_parallel_size": size})


def test_a_derived_profile_has_the_size_that_its_source_says():
    sizes = [1, 2, 4]
    profiles = [profile_from(source) for source in sources(gpu=["h100-sxm"], model="Qwen3-8B", sizes=sizes)]
    assert [profile.tensor_parallel_size for profile in profiles] == sizes
    assert [profile.name for profile in profiles] == [
        "h100-sxm-qwen3-8b",
        "h100-sxm-qwen3-8b-tp2",
        "h100-sxm-qwen3-8b-tp4",
    ]


def test_a_fleet_file_names_sizes_and_kinds(folder):
    source = "{gpu: h100-sxm, model: Qwen3-8B, tensor_parallel_size: 2, quantization: fp8, kv_cache_dtype: fp8}"
    text = (folder / "fleet.yaml").read_text().replace(PROFILE, source)
    (folder / "fleet.yaml").write_text(text)
    [profile] = fleet_profiles(read_fleet(folder / "fleet.yaml"), folder / "fleet.yaml")
    assert (profile.tensor_parallel_size, profile.quantization, profile.kv_cache_dtype) == (2, "fp8", "fp8")


def test_a_plan_of_groups_is_made_explained_verified_replanned_and_exported(adaptwin, folder, group):
    done = adaptwin("plan", "fleet.yaml", "--profile", group, "--spare", 1, "--out", "plan.yaml", "--report", "x.html")
    assert done.code == 0
    plan = Plan.read(folder / "plan.yaml")
    assert (plan.gpus, len(plan.servers), plan.cost_per_hour, plan.lower_bound) == (4, 2, 10.0, 4)
    assert "4 GPUs in 2 servers" in done.out
    assert "at a price of 10.00 per hour" in " ".join(done.out.split())
    assert "4 GPUs in 2 servers" in adaptwin("verify", "plan.yaml").out
    assert "What limits each server" in adaptwin("explain", "plan.yaml").out
    (folder / "fleet.yaml").write_text((folder / "fleet.yaml").read_text().replace(f"profile: {PROFILE}\n", ""))
    assert "GPUs: 4 before, 4 after" in adaptwin("replan", "plan.yaml", "fleet.yaml").out
    script = adaptwin("export", "plan.yaml").out
    assert "CUDA_VISIBLE_DEVICES=0,1 " in script
    assert "CUDA_VISIBLE_DEVICES=2,3 " in script
    assert script.count("--tensor-parallel-size 2") == 2


def test_a_price_on_the_command_line_is_that_of_one_gpu(adaptwin, folder, group):
    assert adaptwin("plan", "fleet.yaml", "--profile", group, "--price", "pair=3", "--out", "plan.yaml").code == 0
    assert Plan.read(folder / "plan.yaml").cost_per_hour == 6.0


def test_an_odd_number_of_given_gpus_leaves_one_over(adaptwin, group):
    done = adaptwin("plan", "fleet.yaml", "--profile", group, "--objective", "min-latency", "--gpus", 5)
    assert done.code == 0
    assert "1 GPU of 5 is left over: each server has 2." in done.out
    few = adaptwin("plan", "fleet.yaml", "--profile", group, "--objective", "min-latency", "--gpus", 1)
    assert few.code == 1
    assert "gpus: 1: too few, as a server of pair has 2" in few.err
