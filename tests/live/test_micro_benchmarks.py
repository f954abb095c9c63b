"""What is measured of a server, and what becomes of the results: worked out by hand."""

from types import SimpleNamespace

import pytest

from adaptwin import Adapter, Server
from adaptwin.calibration.measurements import Measurements
from adaptwin.errors import ServerError, SpecError
from adaptwin.live.idle_run import measure_idle
from adaptwin.live.kept_measurements import KeptMeasurements
from adaptwin.live.measure import Measuring, request_capacity
from adaptwin.live.measured_server import MeasuredServer
from adaptwin.live.measurement_tables import measurements_of, medians_of
from adaptwin.live.micro_benchmark import micro_benchmarks
from adaptwin.live.micro_result import MicroResult
from adaptwin.profile.derive import derive_profile
from adaptwin.workload.lengths import Lengths


def measured(adapters=6, max_loras=4, **fields):
    ranks = [8 if number % 2 else 16 for number in range(adapters)]
    server = Server(max_loras=max_loras, max_lora_rank=16, max_cpu_loras=max(adapters, max_loras), max_model_len=2048)
    given = {
        "base": "tiny",
        "adapters": tuple(Adapter(f"a{i}", rank, 0.0) for i, rank in enumerate(ranks)),
        "server": server,
        "vllm_version": "0.32.0",
        "kv_cache_tokens": 65_536,
        "determines_memory": False,
        "gpu_memory_utilization": 0.92,
        "said": (),
    }
    return MeasuredServer(**{**given, **fields})


@pytest.fixture(scope="module")
def profile():
    return derive_profile(gpu="l4", model="Qwen2.5-7B-Instruct")


def test_batches_do_not_exceed_the_seats_nor_adapters_the_slots():
    designed = micro_benchmarks(measured(), 32, 512)
    decodes = [micro for micro in designed if micro.kind == "decode"]
    assert {micro.requests for micro in decodes} == {1, 2, 4, 8, 16, 32}
    assert {micro.adapters for micro in decodes if micro.requests == 32} == {0, 1, 2, 4}
    assert all(micro.adapters <= min(micro.requests, 4) for micro in decodes)


def test_prompts_fit_into_one_step():
    prompts = [micro.prompt for micro in micro_benchmarks(measured(), 32, 512) if micro.kind == "prefill"]
    assert set(prompts) == {64, 256, 512}


def test_nothing_is_measured_twice_in_a_round():
    designed = micro_benchmarks(measured(), 32, 512)
    assert len({micro.name for micro in designed}) == len(designed)


def test_loads_are_measured_for_every_rank_where_adapters_outnumber_slots():
    assert {micro.rank for micro in micro_benchmarks(measured(), 32, 512) if micro.kind == "swap"} == {8, 16}
    assert not [micro for micro in micro_benchmarks(measured(max_loras=8), 32, 512) if micro.kind == "swap"]


def test_a_server_without_adapters_is_measured_without():
    designed = micro_benchmarks(measured(adapters=0, max_loras=0), 32, 512)
    assert {micro.adapters for micro in designed} == {0}
    assert {micro.kind for micro in designed} == {"decode", "prefill"}


def decode(seconds, running=8, adapters=0, context=400.0, name=None):
    label = name or f"decode {running} {adapters}"
    return MicroResult(label, "decode", seconds, float(running), context, float(adapters), float(running))


def test_repeats_become_their_median_and_what_was_not_told_is_left_out():
    rows = [decode(0.03), decode(0.01), decode(0.02, context=410.0), decode(None, running=64)]
    [only] = medians_of(rows)
    assert (only.seconds, only.context) == (0.02, 400.0)


def test_capacity_takes_the_slowest_decode_and_prompt():
    lengths = Lengths.fixed(100, 50)
    prefill = MicroResult("prefill", "prefill", 0.2, 200.0, 0.0, 1.0, 1.0)
    found = request_capacity([decode(0.02, running=10), decode(0.04, running=10, adapters=4), prefill], lengths)
    assert found == pytest.approx(1.0 / (50 * 0.04 / 10 + 100 * 0.2 / 200))
    assert request_capacity([prefill], lengths) is None


def test_the_tables_are_those_that_fit_reads(profile, tmp_path):
    swap = MicroResult("swap", "swap", 0.006, adapters=1.0, running=1.0, rank=8)
    server = measured(determines_memory=True)
    found = measurements_of(profile, "http://x", "start.yaml", server, [decode(0.02), decode(0.04), swap], [])
    found.write(tmp_path)
    profile.write(tmp_path / "start.yaml")
    read = Measurements.read(tmp_path)
    assert read.steps.rows() == [(4, 16, 8.0, 400.0, 0.0, 8.0, 0.03)]
    assert read.loads.rows() == [("host", 8, 16, 0.006)]
    assert read.memory.rows() == [(4, 16, 65_536)]
    assert read.setup.vllm_version == "0.32.0"


def test_memory_that_a_setting_sized_teaches_nothing(profile):
    assert measurements_of(profile, "http://x", "start.yaml", measured(), [decode(0.02)], []).memory is None


def test_a_folder_keeps_what_was_measured_and_goes_on(profile, tmp_path):
    micro = micro_benchmarks(measured(), 32, 512)[0]
    kept = KeptMeasurements(tmp_path)
    kept.require_same(profile, measured())
    kept.add(MicroResult(micro.name, "decode", 0.02))
    again = KeptMeasurements(tmp_path)
    again.require_same(profile, measured())
    assert again.count(micro) == 1
    assert again.results() == kept.results()


def test_a_folder_of_another_server_is_refused(profile, tmp_path):
    kept = KeptMeasurements(tmp_path)
    kept.require_same(profile, measured())
    kept.add(MicroResult("decode", "decode", 0.02))
    with pytest.raises(SpecError, match=r"0\.32\.0, and this one has 0\.33\.0: use another folder"):
        KeptMeasurements(tmp_path).require_same(profile, measured(vllm_version="0.33.0"))


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_damaged_folder_is_refused_with_its_file(tmp_path, text):
    (tmp_path / "measured.json").write_text(text)
    with pytest.raises(SpecError, match=r"measured\.json: cannot be read"):
        KeptMeasurements(tmp_path)


def test_an_idle_run_that_ended_early_is_not_written(profile, tmp_path, monkeypatch):
    ended = SimpleNamespace(ended_early="the server is dead", runs=())
    monkeypatch.setattr("adaptwin.live.measure.replay", lambda *_, **__: ended)
    with pytest.raises(ServerError, match="a run ended early: the server is dead"):
        measure_idle(Measuring("http://x:1", profile), tmp_path)
    assert list(tmp_path.iterdir()) == []
