"""Errors of derived profiles: the file that comes with adaptwin."""

from typing import get_args

from adaptwin.profile.hardware.gpu import shipped_gpus
from adaptwin.profile.hardware.held_out import held_out
from adaptwin.profile.profile import Regime, load_profile, shipped_profiles


def test_the_file_has_every_regime_and_shipped_gpus():
    errors = held_out()
    assert {spread.regime for spread in errors.spread} == set(get_args(Regime))
    assert len(errors.gpus) > 1
    assert set(errors.gpus) <= set(shipped_gpus())
    assert errors.error.runs == sum(spread.runs for spread in errors.spread)


def test_derived_profiles_are_less_certain_than_measured_ones():
    errors = held_out()
    for name in shipped_profiles():
        profile = load_profile(name)
        assert errors.error.itl > profile.error.itl
        for spread in errors.spread:
            assert spread.itl > profile.spread_in(spread.regime).itl


def test_the_ttft_of_starved_servers_has_no_interval():
    [starved] = [spread for spread in held_out().spread if spread.regime == "starved"]
    assert starved.ttft is None


def test_what_was_checked_holds_what_the_measured_profiles_were_checked_with():
    checked = held_out().checked
    for name in shipped_profiles():
        measured = load_profile(name).measured
        for field in ("prompt", "answer", "max_loras", "max_num_seqs", "max_num_batched_tokens"):
            assert getattr(checked, field)[0] <= getattr(measured, field)[0]
            assert getattr(checked, field)[1] >= getattr(measured, field)[1]
    assert checked.max_loras[0] == 0  # servers of the base model
    assert checked.settings == {}
