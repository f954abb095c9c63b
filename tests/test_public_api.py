"""The public API, as the design page describes it."""

import ast
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import adaptwin
from adaptwin import (
    Adapter,
    AdaptwinError,
    Infeasible,
    Lengths,
    OutOfMemory,
    Plan,
    Profile,
    Run,
    Server,
    SpecError,
    Workload,
    compare,
    load_profile,
    make_plan,
    replan,
    simulate,
    simulate_many,
    surrogate_for,
    verify,
)
from adaptwin.cli.commands import COMMANDS


@pytest.fixture(scope="module")
def profile():
    return load_profile("h100-64gb-llama-3.1-8b-instruct")


@pytest.fixture(scope="module")
def workload():
    return Workload(
        adapters=[Adapter(name="a0", rank=8, rate=0.1), Adapter(name="a1", rank=16, rate=0.05)],
        lengths=Lengths.named("sharegpt"),
        arrivals="poisson",
        duration=3600.0,
        seed=0,
    )


@pytest.fixture(scope="module")
def run(profile, workload):
    return simulate(profile, Server(max_loras=2, max_lora_rank=16), workload)


@pytest.fixture(scope="module")
def plan(profile, workload):
    return make_plan(profile, workload, objective="min-gpus")


def test_every_public_name_is_there():
    assert set(adaptwin.__all__) >= {
        "Adapter", "AdaptwinError", "Infeasible", "Lengths", "Measurements", "OutOfMemory", "Plan", "Profile", "Run",
        "Server", "SpecError", "Workload", "compare", "fit", "load_profile", "make_plan", "replan", "simulate",
        "simulate_many", "verify",
    }  # fmt: skip
    assert all(hasattr(adaptwin, name) for name in adaptwin.__all__)
    assert adaptwin.__all__ == sorted(adaptwin.__all__)


def test_a_profile_is_loaded_by_name_or_path(profile, tmp_path):
    assert isinstance(profile, Profile)
    profile.write(tmp_path / "mine.yaml")
    assert load_profile(tmp_path / "mine.yaml") == profile
    assert load_profile(str(tmp_path / "mine.yaml")) == profile


def test_a_name_or_a_path_stands_for_a_profile(profile, workload, run, tmp_path):
    server = Server(max_loras=2, max_lora_rank=16)
    profile.write(tmp_path / "mine.yaml")
    for given in (profile.name, tmp_path / "mine.yaml", str(tmp_path / "mine.yaml")):
        assert simulate(given, server, workload).to_json() == run.to_json()
        assert simulate_many([(given, server, workload)])[0].to_json() == run.to_json()
        assert surrogate_for(given).profile == profile
    assert compare(profile.name, []).is_empty()
    for use in (lambda: simulate("h200", server, workload), lambda: surrogate_for("h200"), lambda: compare("h200", [])):
        with pytest.raises(SpecError, match=f"^profile: 'h200' is neither a file nor one of {profile.name}, "):
            use()


def test_an_adapter_may_be_made_by_position():
    assert Adapter("a0", 8, 0.1) == Adapter(name="a0", rank=8, rate=0.1)
    names = ["name", "rank", "rate", "lengths", "arrivals", "artifact", "target_modules", "slo_ttft", "slo_itl"]
    names += ["base", "features", "templates", "prefixes"]
    assert list(Adapter.model_fields) == names
    full = Adapter("a", 0, 1.0, Lengths.fixed(3, 4), "gamma:cv=3", "/w", ("q_proj",), 0.5, 0.05)
    assert [getattr(full, name) for name in names[4:9]] == ["gamma:cv=3", "/w", ("q_proj",), 0.5, 0.05]


def test_the_base_of_an_adapter_may_have_its_former_name():
    assert Adapter(name="a", rank=8, rate=0.1, base_model="m") == Adapter(name="a", rank=8, rate=0.1, base="m")
    with pytest.raises(SpecError, match="base_model is the former name of base: give one of them"):
        Adapter(name="a", rank=8, rate=0.1, base_model="m", base="m")


@pytest.mark.parametrize(
    "lengths",
    [
        Lengths.named("sharegpt"),
        Lengths.fixed(250, 231),
        Lengths.empirical([(12, 80), (300, 40)]),
        Lengths.lognormal(input_mean=300, input_cv=1.0, output_mean=200, output_cv=0.5),
    ],
    ids=lambda lengths: lengths.kind,
)
@pytest.mark.parametrize(
    "arrivals", ["poisson", "gamma:cv=3", "regimes:period=300,factor=1.5", (1.0, 2.5, 60.0)], ids=str
)
def test_every_way_to_write_traffic_can_be_simulated(profile, lengths, arrivals):
    traffic = Workload([Adapter("a", 8, 1.0)], lengths=lengths, arrivals=arrivals, duration=120.0)
    run = simulate(profile, Server(max_loras=1, max_lora_rank=8), traffic)
    assert 0 < run.finished <= run.arrived


def test_rates_may_come_from_a_file(profile, tmp_path):
    (tmp_path / "day.csv").write_text("start,factor\n0,0\n60,2\n", encoding="utf-8")
    traffic = Workload([Adapter("a", 8, 1.0)], arrivals=f"rates:{tmp_path / 'day.csv'}", duration=120.0)
    assert simulate(profile, Server(max_lora_rank=8), traffic).arrived == pytest.approx(120, rel=0.4)


def test_a_server_has_vllms_names_and_defaults():
    server = Server(max_loras=2, max_lora_rank=16)
    assert (server.max_cpu_loras, server.max_num_seqs, server.max_num_batched_tokens) == (None, None, None)
    assert (server.max_model_len, server.gpu_memory_utilization, server.block_size) == (None, None, 16)
    assert (Server().max_loras, Server().max_lora_rank) == (1, 16)


def test_a_run_has_the_figures_of_the_design(run, workload):
    assert isinstance(run, Run)
    assert 0 < run.throughput <= run.offered_throughput
    assert run.starved is False
    assert run.starved == (run.throughput < 0.9 * run.offered_throughput)
    for latency in (run.itl, run.ttft, run.e2e):
        assert 0 < latency.p50 <= latency.p99
        assert 0 < latency.mean < latency.p99 * 1.02
    assert run.itl.mean < run.ttft.mean < run.e2e.mean
    assert run.preemptions == 0
    assert run.adapter_loads == 0  # both adapters fit, and the requests arrive after everything is loaded
    assert run.kv_cache_tokens > 131_072
    assert run.mean_running > 0
    assert run.mean_waiting >= 0
    assert isinstance(run.adapters, pl.DataFrame)
    needed = {"arrivals", "finished", "throughput", "ttft_p50", "ttft_p99", "itl_mean", "verdict"}
    assert needed <= set(run.adapters.columns)
    assert run.adapters["name"].to_list() == ["a0", "a1"]
    assert run.adapters["throughput"].sum() == pytest.approx(run.throughput)


def test_simulate_has_the_keywords_of_the_design():
    parameters = inspect.signature(simulate).parameters
    expected = {
        "seed": None, "repeats": 1, "window": "cut", "warmup": 0.0, "max_in_flight": None, "record": False,
    }  # fmt: skip
    assert {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}.items() >= expected.items()
    assert list(parameters)[:3] == ["profile", "server", "workload"]


def test_make_plan_has_the_keywords_of_the_design():
    parameters = inspect.signature(make_plan).parameters
    expected = {
        "objective": "min-gpus", "strategy": "pack", "headroom": 0.0, "margin": 0.0, "seed": 0, "time_limit": None,
    }  # fmt: skip
    assert {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}.items() >= expected.items()
    assert list(parameters)[:2] == ["profile_or_profiles", "workload"]


def test_replan_has_the_keywords_of_the_design():
    parameters = inspect.signature(replan).parameters
    expected = {"move_cost": 0.01, "restart_cost": 0.2, "seed": None, "time_limit": None}
    assert {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}.items() >= expected.items()
    assert list(parameters)[:2] == ["plan", "workload"]


def test_simulate_leaves_its_arguments_as_they_are_and_repeats_itself(profile, workload, run):
    again = simulate(profile, Server(max_loras=2, max_lora_rank=16), workload, seed=0)
    assert again.to_json() == run.to_json()
    other = simulate(profile, Server(max_loras=2, max_lora_rank=16), workload, seed=1)
    assert other.to_json() != run.to_json()


def test_simulate_many_keeps_the_order_of_the_cases(profile, workload, run):
    cases = [(profile, Server(max_loras=slots, max_lora_rank=16), workload) for slots in (1, 2, 1)]
    one, two, again = simulate_many(cases, jobs=2)
    assert one.adapter_loads > two.adapter_loads
    assert one.to_json() == again.to_json()
    assert two.to_json() == run.to_json()
    assert simulate_many([]) == []


def test_a_plan_has_the_fields_of_the_design(plan, profile, workload):
    assert isinstance(plan, Plan)
    assert isinstance(plan.servers[0].server, Server)
    assert set(plan.servers[0].adapters) == {"a0", "a1"}
    assert plan.gpus == len(plan.servers) == plan.lower_bound == 1
    assert plan.workload == workload
    assert plan.profiles == (profile,)


def test_profiles_may_be_one_or_several(plan, profile, workload):
    assert make_plan([profile], workload).servers == plan.servers


def test_a_plan_is_verified_with_another_seed(plan):
    check = verify(plan, seed=1)
    assert check.ok is True
    assert [type(run) for run in check.runs] == [Run]


def test_a_run_without_requests_is_valid(profile):
    run = simulate(profile, Server(max_lora_rank=8), Workload([Adapter("a", 8, 0.0)], duration=60.0))
    assert (run.throughput, run.starved) == (0.0, False)
    assert run.ttft.p50 != run.ttft.p50


def test_a_request_longer_than_max_model_len_is_rejected_and_counted(profile):
    traffic = Workload([Adapter("a", 8, 1.0)], lengths=Lengths.fixed(4000, 200), duration=60.0)
    run = simulate(profile, Server(max_lora_rank=8, max_model_len=4096), traffic)
    assert run.rejected == run.arrived > 0


def test_a_server_that_would_not_start_raises_out_of_memory(profile, workload):
    with pytest.raises(OutOfMemory, match="max_loras 500 at max_lora_rank 512"):
        simulate(profile, Server(max_loras=500, max_lora_rank=512), workload)


def test_a_problem_without_a_solution_raises_infeasible(profile):
    with pytest.raises(Infeasible, match="'a0'"):
        make_plan(profile, Workload([Adapter("a0", 8, 5.0, slo_itl=1e-6)], duration=600.0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Adapter("a0", 600, 0.1), "Adapter.rank: 600 is above 512, the highest that vLLM serves"),
        (lambda: Adapter("a0", 8), "Adapter.rate: missing"),
        (lambda: Adapter("a0", 8, 0.1, colour="red"), "Adapter.colour: unknown key"),
        (lambda: Workload([Adapter("a", 8, 1.0)] * 2), "Workload.adapters: duplicate name 'a'"),
        (lambda: Server(max_loras=-1), "Server.max_loras: -1 must be at least 0"),
        (lambda: Lengths.named("pile"), "'pile'"),
        (lambda: load_profile("h200"), "'h200' is neither a file nor one of"),
        (lambda: Plan.read("no.yaml"), "no.yaml: no such file"),
    ],
)
def test_wrong_input_raises_a_spec_error_that_names_it(wrong, message):
    with pytest.raises(SpecError) as caught:
        wrong()
    assert message in str(caught.value)


def test_the_tree_of_errors():
    assert issubclass(SpecError, AdaptwinError)
    assert issubclass(Infeasible, AdaptwinError)
    assert issubclass(OutOfMemory, Infeasible)
    assert [SpecError("x").exit_code, Infeasible("x").exit_code, OutOfMemory("x").exit_code] == [1, 2, 2]


def test_values_are_frozen(workload, plan):
    for value, field in ((workload, "seed"), (workload.adapters[0], "rate"), (plan, "seed"), (Server(), "max_loras")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(value, field, 1)


# Loading


HEAVY = ("numba", "numpy", "polars", "plotly", "pydantic", "joblib", "scipy", "sklearn")


def loaded_by(code):
    """Return the heavy modules that a fresh interpreter has loaded after running some code."""
    report = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_the_package_is_imported_without_its_heavy_parts():
    assert loaded_by("import adaptwin") == []


def test_the_help_of_the_program_is_shown_without_them():
    assert loaded_by("from adaptwin.cli.main import run; run(['--help'])") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_is_shown_without_what_it_runs(command):
    heavy = loaded_by(f"from adaptwin.cli.main import run; run(['{command}', '--help'])")
    assert set(heavy) <= {"numpy", "pydantic"}


def test_profiles_are_listed_without_simulating_or_drawing_anything():
    heavy = loaded_by("from adaptwin.cli.main import run; run(['profiles'])")
    assert not {"numba", "numpy", "polars", "plotly", "joblib", "scipy", "sklearn"} & set(heavy)


def test_a_plan_is_read_without_compiling_anything():
    assert "numba" not in loaded_by("from adaptwin import Plan, Constraints, Failover, Migration, PlanOptions")


def test_every_public_name_is_what_its_module_has():
    for name in adaptwin.__all__:
        assert getattr(adaptwin, name).__module__.startswith("adaptwin.")
    assert set(adaptwin.__all__) <= set(dir(adaptwin))


def test_type_checkers_see_the_names_that_are_loaded():
    tree = ast.parse(Path(adaptwin.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If)).body
    seen = {alias.name: node.module for node in guarded for alias in node.names}
    assert sorted(seen) == adaptwin.__all__
    assert seen == {name: f"adaptwin.{module}" for name, module in adaptwin._MODULES.items()}


def test_no_public_name_is_hidden_by_a_module_of_that_name():
    assert not set(adaptwin.__all__) & {module.name for module in pkgutil.iter_modules(adaptwin.__path__)}


def test_unknown_names_raise_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'adaptwin' has no attribute 'plant'"):
        _ = adaptwin.plant
