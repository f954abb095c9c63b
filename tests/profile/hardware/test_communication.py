"""Communication: the exchanges of a group, worked out by hand."""

import pytest

from adaptwin import SpecError
from adaptwin.profile.hardware.communication import communication, exchange
from adaptwin.profile.hardware.gpu import load_gpu, shipped_gpus
from adaptwin.profile.hardware.model_config import read_model

LLAMA_70B = read_model("meta-llama/Llama-3.1-70B").shape


def test_one_gpu_exchanges_nothing():
    assert communication(load_gpu("h100-sxm"), LLAMA_70B, 1) == (0.0, 0.0, 0.0)


def test_a_70b_exchanges_161_messages_of_16_kib_a_token():
    """Two all-reduces in each of 80 layers and one of the embedding, of 8,192 values of two bytes."""
    sheet = load_gpu("h100-sxm")
    measured = next(each for each in sheet.all_reduce if each.gpus == 4)
    found = communication(sheet, LLAMA_70B, 4)
    assert found.of_step == pytest.approx(161 * measured.seconds)
    assert found.per_token == pytest.approx(161 * 16_384 / measured.bandwidth)
    assert found.per_sequence == pytest.approx(128_256 / measured.bandwidth)


def test_gpus_without_a_table_get_the_rule_of_their_link():
    """A ring of two sends the message once, one of eight 7/4 of it."""
    pcie = load_gpu("l4")
    assert not pcie.all_reduce
    assert exchange(pcie, 2).bandwidth == pytest.approx(0.295 * pcie.link_bandwidth)
    assert exchange(pcie, 8).bandwidth == pytest.approx(0.073 * pcie.link_bandwidth / 1.75)
    assert exchange(pcie, 5) == exchange(pcie, 8)
    assert not exchange(pcie, 2).is_measured


@pytest.mark.parametrize("name", shipped_gpus())
def test_more_gpus_take_longer_to_exchange_and_nvlink_is_faster_than_pcie(name):
    sheet = load_gpu(name)
    groups = [exchange(sheet, size) for size in (2, 4, 8)]
    assert [each.seconds for each in groups] == sorted(each.seconds for each in groups)
    assert (groups[0].bandwidth > 5e10) == (sheet.link == "nvlink")


@pytest.mark.parametrize("name", [name for name in shipped_gpus() if load_gpu(name).all_reduce])
def test_the_rule_is_within_a_factor_of_what_was_measured(name):
    """40 % over NVLink; over PCIe 10 % for pairs, and for more GPUs as much as servers differ."""
    sheet = load_gpu(name)
    for measured in sheet.all_reduce:
        rule = exchange(sheet.model_copy(update={"all_reduce": ()}), measured.gpus)
        most = 1.4 if sheet.link == "nvlink" else 1.1 if measured.gpus == 2 else 4.0
        assert 1 / most < rule.bandwidth / measured.bandwidth < most


def test_a_group_over_several_servers_is_refused():
    with pytest.raises(SpecError, match="tensor_parallel_size: 16 is above 8"):
        exchange(load_gpu("b200"), 16)
