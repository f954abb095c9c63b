"""Machine, cache, shipped files, variables and self-test: each finds what is there, and what is wrong."""

import os

import pytest

from adaptwin.cache_folders import is_usable_folder
from adaptwin.installation import caches as cache_module
from adaptwin.installation import machine as machine_module
from adaptwin.installation import self_test as test_module
from adaptwin.installation.caches import caches
from adaptwin.installation.machine import machine, usable_cores
from adaptwin.installation.self_test import self_test
from adaptwin.installation.shipped import shipped
from adaptwin.installation.variables import VARIABLES, variables
from adaptwin.profile import profile as profile_module
from adaptwin.profile.profile import load_profile, shipped_profiles
from adaptwin.twin.kernel import play as kernel


def states(findings):
    return {finding.name: finding.state for finding in findings}


def test_the_machine_has_cores_and_memory():
    assert set(states(machine())) == {"platform", "processor", "cores", "memory"}
    assert 1 <= usable_cores() <= os.cpu_count()


@pytest.mark.parametrize(("sizes", "state", "says"), [
    ([8 * 2**30], "ok", "8.0 GiB"),
    ([8 * 2**30, 2**30], "ok", "1.0 GiB, limited by the container"),
    ([8 * 2**30, 2**29], "note", "0.5 GiB, limited by the container"),
])  # fmt: skip
def test_little_memory_is_a_note(sizes, state, says, monkeypatch):
    monkeypatch.setattr(machine_module, "_memory_bytes", lambda: sizes)
    memory = machine()[-1]
    assert (memory.state, memory.says) == (state, says)


def test_a_cache_folder_that_cannot_be_used_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("ADAPTWIN_CACHE_DIR", str(tmp_path / "file" / "cache"))
    is_usable_folder.cache_clear()
    findings = {finding.name: finding for finding in caches()}
    assert findings["ADAPTWIN_CACHE_DIR"].state == "wrong"
    assert "unset ADAPTWIN_CACHE_DIR" in findings["ADAPTWIN_CACHE_DIR"].remedy


def test_an_empty_cache_folder_has_no_machine_code_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAPTWIN_CACHE_DIR", str(tmp_path / "new"))
    is_usable_folder.cache_clear()
    findings = {finding.name: finding for finding in caches()}
    assert findings["folder"].says.startswith(str(tmp_path / "new"))
    assert findings["machine code"].state == "note"


def test_no_folder_at_all_is_wrong(monkeypatch):
    monkeypatch.setattr(cache_module, "_is_writable", lambda _folder: False)
    monkeypatch.setattr(cache_module, "_is_compiled", lambda: False)
    assert states(caches())["folder"] == "wrong"


def test_what_is_shipped_is_as_it_was():
    assert set(states(shipped()).values()) == {"ok"}


def test_a_profile_with_another_constant_is_found(monkeypatch):
    def changed(name):
        profile = load_profile(name)
        return profile.model_copy(update={"request_latency": profile.request_latency * 2})

    monkeypatch.setattr(profile_module, "load_profile", changed)
    wrong = [finding for finding in shipped() if finding.state == "wrong"]
    assert len(wrong) == 2 * len(shipped_profiles())  # the profiles, and the surrogates that were made for others
    assert all(finding.remedy for finding in wrong)


def test_variables_say_what_they_do_and_secrets_only_whether_they_are_set():
    environment = {variable.name: "value" for variable in VARIABLES}
    for finding, variable in zip(variables(environment), VARIABLES, strict=True):
        assert ("value" in finding.says.split(" (")[0]) != variable.is_secret
        assert variable.effect in finding.says
    assert states(variables(environment))["NUMBA_DISABLE_JIT"] == "wrong"
    assert states(variables({"NUMBA_DISABLE_JIT": "0"}))["NUMBA_DISABLE_JIT"] == "ok"
    assert all(finding.says.startswith("not set") for finding in variables({}))


def test_the_self_test_passes_and_reports_its_progress():
    reported = []
    assert set(states(self_test(lambda *progress: reported.append(progress))).values()) == {"ok"}
    assert reported[-1][1:] == (4, 4)


def test_a_kernel_that_differs_from_the_reference_is_found(monkeypatch):
    def other(scenario):
        outcome = kernel_play(scenario)
        return outcome._replace(gpu_loads=outcome.gpu_loads + 1)

    kernel_play = kernel.play
    monkeypatch.setattr(kernel, "play", other)
    findings = {finding.name: finding for finding in self_test()}
    assert findings["kernel"].state == "wrong"
    assert "differ in gpu_loads" in findings["kernel"].says
    assert findings["kernel"].remedy == test_module._NEW_CODE
