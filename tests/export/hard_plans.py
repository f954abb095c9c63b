"""Plans for the conformance of exports: everyday names, and everything that is hard at once."""

from adaptwin import Adapter, Plan, Server, Workload, load_profile
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")
PAIR = LLAMA.model_copy(update={"name": f"{LLAMA.name}-tp2", "tensor_parallel_size": 2})
LONG = "a-tenant-with-a-name-that-is-longer-than-any-label-of-a-cluster-may-be-" * 2
ODD = (
    "two words", "it's", 'say "hi"', "$HOME", "${HOME}", "$(HOME)", "`id`", "a=b", "a,b", "-x", "--api-key",
    "tenant/chat", "UPPER", "upper", "1e3", "0x1F", "yes", "null", "1:30", "- a", "a: b", "#1", "&a", "!!int 1",
    "{{ 7 + 7 }}", "%{y}", "ünïcode", "日本語", "a.b", "a_b", "a-b", "back\\slash", "=1+2", "</script>", LONG,
)  # fmt: skip
SETTINGS = Server(max_loras=4, max_lora_rank=16, max_cpu_loras=40, max_num_seqs=128, max_num_batched_tokens=4096)
MERGED = SETTINGS.with_merged_weights()
BASE_ONLY = Server(max_loras=0, max_cpu_loras=0)


def everyday_plan() -> Plan:
    """Make a plan with everyday names: two servers, a split adapter and one with an artifact."""
    adapters = (
        Adapter("tenant-a", 8, 1.0),
        Adapter("tenant-b", 16, 1.0, artifact="s3://bucket/tenant-b"),
        Adapter("tenant-c", 16, 1.0, artifact="hf://org/tenant-c"),
        Adapter("hot", 8, 5.0),
    )
    servers = (
        PlacedServer("gpu-0", LLAMA.name, SETTINGS, {"tenant-a": 1.0, "tenant-c": 1.0, "hot": 0.25}),
        PlacedServer("gpu-1", LLAMA.name, SETTINGS, {"tenant-b": 1.0, "hot": 0.75}),
    )
    return _plan(adapters, servers)


def hard_plan() -> Plan:
    """Make a plan with a group of two GPUs, odd names, splits, merged weights, base traffic and a standby."""
    half = len(ODD) // 2
    artifacts = (None, "org/repository", "hf://org/repository", "s3://bucket/some key", "gs://bucket/k", "/weights/x y")
    adapters = (
        *(Adapter(name, 8, 0.1, artifact=artifacts[i % len(artifacts)]) for i, name in enumerate(ODD)),
        Adapter("thirds", 8, 5.0),
        Adapter("odd split", 16, 5.0),
        Adapter("merged one", 8, 40.0),
        Adapter("base", 0, 1.0),
        Adapter("more base", 0, 3.0),
    )
    servers = (
        PlacedServer("gpu-0", PAIR.name, SETTINGS, {**dict.fromkeys(ODD[:half], 1.0), "thirds": 1 / 3, "base": 1.0}),
        PlacedServer("Rack 1/GPU 1", LLAMA.name, SETTINGS, {**dict.fromkeys(ODD[half:], 1.0), "thirds": 2 / 3}),
        PlacedServer("gpu-2", LLAMA.name, SETTINGS, {"odd split": 0.7}),
        PlacedServer("gpu-3", LLAMA.name, SETTINGS, {"odd split": 0.3, "more base": 0.5}),
        PlacedServer("gpu-4", LLAMA.name, MERGED, {"merged one": 1.0}),
        PlacedServer("gpu-5", LLAMA.name, BASE_ONLY, {"more base": 0.5}),
        PlacedServer("gpu-6", LLAMA.name, SETTINGS, {}),
    )
    return _plan(adapters, servers, spare=1)


def _plan(adapters: tuple[Adapter, ...], servers: tuple[PlacedServer, ...], spare: int = 0) -> Plan:
    used = {server.profile for server in servers}
    return Plan(
        PlanOptions(strategy="by hand", spare=spare),
        7,
        lower_bound=1,
        servers=servers,
        profiles=[profile for profile in (LLAMA, PAIR) if profile.name in used],
        workload=Workload(adapters, duration=300.0),
    )
