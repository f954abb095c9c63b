"""Running servers round after round: what breaks in between is said, and the watch goes on."""

import time

import pytest
from tests.live.small_plans import placed, plan_of
from tests.live.stand_in_server import BLOCK_SIZE, BLOCKS, MAX_MODEL_LEN
from tests.live.watching.router_stand_in import counting_router

from adaptwin import SpecError, load_profile
from adaptwin.errors import AdaptwinError
from adaptwin.live.watching.running_servers import Access, RunningServers
from adaptwin.plan.plans import Plans

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")
SETTINGS = {"max_model_len": MAX_MODEL_LEN, "gpu_memory_utilization": 0.92, "kv_cache_tokens": BLOCKS * BLOCK_SIZE}
EVERY = 0.2  # seconds
RATES = dict.fromkeys("abcd", 5.0)


def plans(*names):
    servers = [placed(LLAMA, f"gpu-{i}", each, 8, **SETTINGS) for i, each in enumerate(names)]
    return Plans(plans=(plan_of(LLAMA, *servers, rates=RATES),))


@pytest.fixture
def servers(serve):
    return [serve(tuple("ab")), serve(tuple("cd"))]


@pytest.fixture
def addresses(servers, folder):
    path = folder / "servers.yaml"
    path.write_text("".join(f"gpu-{i}: {each.url}\n" for i, each in enumerate(servers)))
    return path


@pytest.fixture
def running():
    return plans("ab", "cd")


@pytest.mark.parametrize("text", ["gpu-0: [", "gpu-0: http://127.0.0.1:9\n", "", "gpu-0: {url: x, api_key: secret}"])
def test_a_servers_file_that_breaks_later_leaves_the_addresses_as_they_were(addresses, running, text):
    fleet = RunningServers(Access(addresses), EVERY)
    fleet.observe(running)
    whole = addresses.read_text()
    addresses.write_text(text)
    seen = fleet.observe(running)
    assert set(seen.servers) == {"gpu-0", "gpu-1"}
    assert any("the addresses that were read before are used" in note for note in seen.notes)
    addresses.write_text(whole)
    assert fleet.observe(running).notes == ()


def test_a_servers_file_that_is_damaged_at_first_ends_the_watch(addresses, running):
    addresses.write_text("gpu-0: [")
    with pytest.raises(SpecError, match=r"servers\.yaml"):
        RunningServers(Access(addresses), EVERY).observe(running)


def test_a_key_that_is_gone_later_leaves_the_traffic_unknown(serve, folder, monkeypatch, running):
    both = [serve(tuple("ab"), api_key="very-secret"), serve(tuple("cd"))]
    monkeypatch.setenv("KEY_OF_GPU", "very-secret")
    path = folder / "servers.yaml"
    path.write_text(f"gpu-0: {{url: {both[0].url}, api_key_env: KEY_OF_GPU}}\ngpu-1: {both[1].url}\n")
    fleet = RunningServers(Access(path), EVERY)
    assert set(fleet.observe(running).servers) == {"gpu-0", "gpu-1"}
    monkeypatch.delenv("KEY_OF_GPU")
    began = time.monotonic()
    seen = fleet.observe(running)
    assert time.monotonic() - began >= EVERY
    assert (seen.servers, seen.requests) == ({}, None)
    assert "KEY_OF_GPU" in seen.unreadable["gpu-0"]


def test_adapters_that_a_server_has_lost_are_said(servers, addresses, running):
    fleet = RunningServers(Access(addresses), EVERY)
    del servers[0].adapters["b"]
    assert fleet.observe(running).notes == ("gpu-0 has not loaded adapters that the plan has there: b",)
    fleet.change(plans("a", "bcd"))  # on the way to another plan, b may be elsewhere
    assert fleet.observe(running).notes == ()
    del servers[0].adapters["a"]
    assert fleet.observe(running).notes == ("gpu-0 has not loaded adapters that the plan has there: a",)


def test_requests_that_are_not_known_are_taken_as_planned_and_this_is_said(addresses, running):
    addresses.write_text(addresses.read_text().replace("gpu-1: ", "gpu-1: http://127.0.0.1:9 # "))
    seen = RunningServers(Access(addresses), EVERY).observe(running)
    assert "requests taken to be as planned, as they are not known: gpu-1" in seen.notes
    assert seen.requests["c"].requests == pytest.approx(5.0 * EVERY)
    assert seen.requests["a"].requests == 0.0


def test_a_command_that_fails_is_run_again_until_it_succeeds(addresses, running):
    called = []

    def told(found):
        called.append(found)
        if len(called) < 3:
            raise AdaptwinError("the command failed")

    fleet, found = RunningServers(Access(addresses), EVERY, on_found=told), plans("a", "bcd")
    changes = [fleet.change(found) for _ in range(5)]
    assert [change.notes for change in changes[:2]] == [("the command failed",)] * 2
    assert called == [found] * 3


def test_a_router_that_restarts_leaves_one_round_unknown(addresses, running):
    with counting_router(dict.fromkeys("abcd", 5.0)) as (url, counters):
        fleet = RunningServers(Access(addresses, url), EVERY)
        assert fleet.observe(running).requests["a"].requests == pytest.approx(1.0, rel=0.5)
        counters.began = time.monotonic()
        seen = fleet.observe(running)
        assert seen.requests["a"].requests >= 0.0  # the start of a round counts afresh
        began, reads = counters.began, []

        class Restarts:
            def __get__(self, *_):
                reads.append(1)
                return began if len(reads) == 1 else time.monotonic()

        counters.began = Restarts()
        seen = fleet.observe(running)
        assert seen.requests is None
        assert any("its counters have begun again, so it has restarted" in note for note in seen.notes)
        counters.began = began
        assert fleet.observe(running).requests is not None


def test_a_router_that_appears_in_a_round_is_known_from_the_next_on(addresses, running):
    with counting_router(dict.fromkeys("abcd", 5.0)) as (url, counters):
        fleet = RunningServers(Access(addresses, url), EVERY)
        counters.is_gone = True
        assert any("503" in note for note in fleet.observe(running).notes)
        reads = []

        class Appears:
            def __get__(self, *_):
                reads.append(1)
                return len(reads) < 3  # both addresses that a Prometheus server would have, too

        counters.is_gone = Appears()
        seen = fleet.observe(running)
        assert (seen.requests is None) == any("counters are not known" in note for note in seen.notes)
        counters.is_gone = False
        assert fleet.observe(running).requests is not None
