"""Data sheets of GPUs: figures are plausible, and a name, or the start of one, finds its sheet."""

import pytest
import yaml

from adaptwin import SpecError
from adaptwin.profile.hardware.gpu import GpuSheet, load_gpu, shipped_gpus
from adaptwin.profile.memory import GIB
from adaptwin.profile.profile import load_profile, shipped_profiles

SHEETS = [load_gpu(name) for name in shipped_gpus()]
SAME_GPU = {  # sheets of the tables of operations
    "a100_pcie": "a100-pcie-80gb",
    "a100_sxm": "a100-sxm-80gb",
    "b200_sxm": "b200",
    "h100_pcie": "h100-pcie",
    "h100_sxm": "h100-sxm",
    "h200_sxm": "h200",
    "l4": "l4",
    "l40s": "l40s",
    "rtx_pro_6000_server": "rtx-pro-6000",
}


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_a_sheet_is_plausible(sheet):
    assert load_gpu(sheet.name) == sheet
    assert 20 < sheet.memory_gib < 200
    assert 0.01 < sheet.memory_gib * GIB / sheet.memory_bandwidth < 0.1  # seconds to read the memory once
    assert 150 < sheet.flops.bfloat16 / sheet.memory_bandwidth < 500  # FLOP per byte at the ridge point
    assert sheet.flops.float16 == sheet.flops.bfloat16
    if sheet.architecture == "blackwell":
        assert sheet.flops.int8 is None  # vLLM has no kernels
    else:
        assert sheet.flops.int8 == pytest.approx(2 * sheet.flops.bfloat16, rel=0.02) or sheet.name == "rtx-4090"
    assert sheet.memory_bandwidth > sheet.link_bandwidth >= sheet.pcie_bandwidth
    assert (sheet.link == "pcie") == (sheet.link_bandwidth == sheet.pcie_bandwidth)
    assert "check yours" in sheet.source or sheet.price_per_hour is None


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_arithmetic_is_what_the_tensor_cores_of_the_architecture_do_per_cycle(sheet):
    per_cycle = {  # FLOP of an SM in bfloat16 with sums in 32 bits; consumer cards have half of their architecture's
        "ampere": 2048 if sheet.name.startswith("a100") else 1024,
        "ada": 512 if sheet.name == "rtx-4090" else 1024,
        "hopper": 4096,
        "blackwell": 8192 if sheet.name == "b200" else 1024,
    }
    assert sheet.flops.bfloat16 / (sheet.sms * sheet.clock_hz) == pytest.approx(per_cycle[sheet.architecture], rel=0.08)


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_ampere_has_no_fp8_and_later_ones_have_twice_the_rate(sheet):
    if sheet.architecture == "ampere":
        assert sheet.flops.fp8 is None
    else:
        assert sheet.flops.fp8 == pytest.approx(2 * sheet.flops.bfloat16, rel=0.02)


def test_an_a100_is_known_by_its_hardware():
    assert {sheet.name for sheet in SHEETS if "a100" in sheet.hardware.lower()} == {
        "a100-pcie-80gb",
        "a100-sxm-40gb",
        "a100-sxm-80gb",
    }


def test_the_gpu_of_the_shipped_profiles_is_that_of_their_sheet():
    sheet = load_gpu("h100-64gb")
    for name in shipped_profiles():
        profile = load_profile(name)
        assert profile.hardware == sheet.hardware
        assert profile.gpu_gib == pytest.approx(sheet.memory_gib)


@pytest.mark.parametrize("table", SAME_GPU)
def test_figures_are_those_of_the_measured_tables(table, shared_data):
    given = yaml.safe_load((shared_data / "public" / "op-tables" / f"{table}.yaml").read_text())
    sheet = load_gpu(SAME_GPU[table])
    assert sheet.memory_bandwidth == given["gpu"]["mem_bw"]
    assert sheet.flops.bfloat16 == pytest.approx(given["gpu"]["bfloat16_tc_flops"], rel=1e-3)
    if sheet.flops.int8 is not None:
        assert sheet.flops.int8 == pytest.approx(given["gpu"]["int8_tc_flops"], rel=1e-3)
    assert (sheet.flops.fp8 or 0) == pytest.approx(given["gpu"].get("fp8_tc_flops", 0), rel=1e-3)
    assert sheet.link_bandwidth == given["node"]["intra_node_bw"]
    assert sheet.pcie_bandwidth == given["node"]["pcie_bw"] or table == "b200_sxm"  # its servers have PCIe 5
    assert 0.9 < sheet.memory_gib * GIB / given["gpu"]["mem_capacity"] <= 1


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("h200", "h200"),
        ("l40S", "l40s"),
        ("L40S", "l40s"),
        ("l4", "l4"),
        ("a10", "a10"),
        ("H100_SXM", "h100-sxm"),
        ("h100sxm", "h100-sxm"),
        ("RTX 4090", "rtx-4090"),
        ("rtx pro", "rtx-pro-6000"),
        ("a100-sxm-8", "a100-sxm-80gb"),
    ],
)
def test_a_name_or_its_start_finds_a_sheet(typed, name):
    assert load_gpu(typed).name == name


def test_the_start_of_several_names_lists_them():
    with pytest.raises(SpecError) as error:
        load_gpu("a100")
    assert str(error.value) == "gpu: 'a100' is one of a100-pcie-80gb, a100-sxm-40gb, a100-sxm-80gb: name one"


def test_an_unknown_name_lists_all_and_the_nearest():
    with pytest.raises(SpecError) as error:
        load_gpu("rtx-4080")
    assert all(name in str(error.value) for name in ["gpu: 'rtx-4080'", *shipped_gpus()])
    assert str(error.value).endswith("did you mean rtx-4090?")


@pytest.mark.parametrize("wrong", [None, 4090, ["l4"]])
def test_a_name_that_is_no_text_is_refused(wrong):
    with pytest.raises(SpecError, match="gpu: "):
        load_gpu(wrong)


@pytest.mark.parametrize(
    ("field", "value"),
    [("sms", 0), ("memory_gib", float("nan")), ("memory_bandwidth", 2.0), ("architecture", "volta"), ("l2_bytes", -1)],
)
def test_a_sheet_of_ones_own_is_checked(field, value, tmp_path):
    file = tmp_path / "mine.yaml"
    load_gpu("l4").write(file)
    assert GpuSheet.read(file) == load_gpu("l4")
    fields = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**fields, field: value}))
    with pytest.raises(SpecError, match=rf"mine\.yaml: {field}: "):
        GpuSheet.read(file)


def test_a_number_with_a_letter_is_another_gpu():
    with pytest.raises(SpecError, match=r"'l40' is not one of .* did you mean"):
        load_gpu("l40")
