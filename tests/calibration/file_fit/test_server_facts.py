"""Which server files are of: options, files, and their contradictions."""

import pytest

from adaptwin import SpecError, shipped_gpus
from adaptwin.calibration.file_fit.server_facts import FileFacts, named_gpu, named_model, server_facts
from adaptwin.profile.hardware.gpu import load_gpu

QWEN = "Qwen/Qwen2.5-7B-Instruct"
LOG = FileFacts("vllm.log", model=QWEN, vllm_version="0.24.0", tensor_parallel_size=1)
BENCH = FileFacts("idle.json", gpu="NVIDIA-H100-PCIe", model=QWEN)
NO_OPTIONS = FileFacts("")


def test_files_together_name_the_server():
    facts = server_facts([LOG, BENCH], NO_OPTIONS)
    assert facts[:6] == ("h100-pcie", QWEN, "0.24.0", 1, None, "auto")
    assert facts.said == ()


def test_options_take_precedence_and_what_contradicts_them_is_said():
    options = FileFacts("", gpu="h100-sxm", vllm_version="0.23.0")
    facts = server_facts([LOG, BENCH], options)
    assert (facts.gpu, facts.vllm_version) == ("h100-sxm", "0.23.0")
    assert facts.said == (
        "idle.json says gpu h100-pcie; --gpu h100-sxm is taken",
        "vllm.log says version of vLLM 0.24.0; --vllm-version 0.23.0 is taken",
    )


def test_variants_of_a_model_do_not_contradict_each_other():
    base = FileFacts("other.json", model="Qwen/Qwen2.5-7B")
    assert server_facts([BENCH, base], NO_OPTIONS).model == QWEN


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (FileFacts("b", gpu="NVIDIA L40S"), "idle.json is of gpu h100-pcie, and b of l40s: fit one server at a time"),
        (FileFacts("b", model="Qwen/Qwen3-8B"), f"idle.json is of model {QWEN}, and b of Qwen/Qwen3-8B"),
        (FileFacts("b", vllm_version="0.23.0"), "version of vLLM 0.24.0, and b of 0.23.0"),
    ],
)
def test_files_of_two_servers_are_refused(other, message):
    with pytest.raises(SpecError, match=message):
        server_facts([LOG, BENCH, other], NO_OPTIONS)


def test_what_no_file_names_is_an_option_to_give():
    with pytest.raises(SpecError, match="no file names the GPU: give --gpu"):
        server_facts([LOG], NO_OPTIONS)
    unknown = FileFacts("a", gpu="NVIDIA Z9", model="/workspace/base")
    with pytest.raises(SpecError) as refused:
        server_facts([unknown], NO_OPTIONS)
    assert refused.value.message == (
        "no file names the GPU ('NVIDIA Z9') or a model that adaptwin knows ('/workspace/base'): give --gpu and --model"
    )


def test_a_model_that_is_not_known_is_taken_for_that_of_the_option():
    facts = server_facts([FileFacts("a", model="org/fine-tuned")], FileFacts("", gpu="l40s", model=QWEN))
    assert facts.said == (f"a names the model org/fine-tuned, taken to have the shapes of {QWEN}",)


AWQ = "Qwen/Qwen2.5-7B-Instruct-AWQ"


def test_a_quantised_copy_says_so_by_its_name():
    facts = server_facts([BENCH._replace(model=AWQ)], NO_OPTIONS)
    assert (facts.model, facts.quantization) == (AWQ, None)
    assert server_facts([BENCH._replace(model=AWQ)], FileFacts("", model=QWEN)).quantization == "awq"


def test_the_quantization_of_a_log_is_named_as_the_option_is():
    quantised = LOG._replace(model="/models/base", quantization="gptq_marlin")
    assert server_facts([quantised], FileFacts("", gpu="l40s", model=QWEN)).quantization == "gptq"
    unclear = LOG._replace(quantization="compressed-tensors")
    with pytest.raises(SpecError, match="says compressed-tensors, which leaves the number of bits open"):
        server_facts([unclear], FileFacts("", gpu="l40s"))
    assert server_facts([unclear], FileFacts("", gpu="l40s", quantization="fp8")).quantization == "fp8"


@pytest.mark.parametrize("gpu", shipped_gpus())
def test_gpus_are_known_as_nvidia_smi_names_them(gpu):
    assert named_gpu(load_gpu(gpu).hardware) == gpu


@pytest.mark.parametrize(
    ("name", "gpu"),
    [("NVIDIA-H100-PCIe", "h100-pcie"), ("H100_SXM", "h100-sxm"), ("GeForce RTX 4090", "rtx-4090"), ("TPU v5", None)],
)
def test_other_spellings_are_known_too(name, gpu):
    assert named_gpu(name) == gpu


def test_the_most_alike_of_the_known_models_is_meant():
    assert named_model("qwen/qwen2.5-7b-instruct") == QWEN
    assert named_model("someone/Qwen2.5-7B-Instruct-AWQ") == "someone/Qwen2.5-7B-Instruct-AWQ"
    assert named_model("/models/Qwen2.5-7B-Instruct") is None
