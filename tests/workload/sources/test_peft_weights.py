"""Weights of PEFT adapters: what is found without loading them."""

import json
import math

import pytest

from adaptwin import SpecError, load_profile
from adaptwin.plan.served_adapters import served_model
from adaptwin.workload.sources.peft import read_peft_folder

PLACE = "base_model.model.model.layers.{layer}.self_attn.{module}.lora_{side}.weight"
BYTES = {"BF16": 2, "F16": 2, "F32": 4, "I8": 1}
HIDDEN, KEYS = 4096, 1024  # of Llama-3.1-8B


def lora(rank=8, layers=2, **changes):
    """Return types and shapes of the matrices of q_proj and v_proj; `changes` replace some or remove them."""
    tensors = {}
    for layer in range(layers):
        for module, outputs in (("q_proj", HIDDEN), ("v_proj", KEYS)):
            tensors[PLACE.format(layer=layer, module=module, side="A")] = ("BF16", [rank, HIDDEN])
            tensors[PLACE.format(layer=layer, module=module, side="B")] = ("BF16", [outputs, rank])
    tensors.update(changes)
    return {name: tensor for name, tensor in tensors.items() if tensor}


def safetensors(tensors):
    """Return the bytes of a file with these tensors, filled with zeros."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(end)


@pytest.fixture
def save(tmp_path):
    """Return a function that saves an adapter of q_proj and v_proj in its folder, with the files given."""

    def saved(files, name="a", **fields):
        folder = tmp_path / "adapters" / name
        folder.mkdir(parents=True)
        config = {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj", "v_proj"], **fields}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        for file, content in files.items():
            (folder / file).write_bytes(content)
        return tmp_path / "adapters"

    return saved


def checked(root, **options):
    return read_peft_folder(root, rate=1.0, check=True, **options)


WHOLE = safetensors(lora())
FILE = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def llama():
    return served_model([load_profile("h100-64gb-llama-3.1-8b-instruct")])


def test_good_weights_are_told_with_type_and_size(save, llama):
    found = checked(save({FILE: WHOLE}), served=llama)
    assert (found.bad, found.skipped) == ({}, {})
    assert (found.weights["a"].dtypes, found.weights["a"].size) == (("BF16",), len(WHOLE))


def test_weights_are_only_looked_at_when_asked(save):
    root = save({})
    assert read_peft_folder(root, rate=1.0).weights == {}
    with pytest.raises(
        SpecError, match=r"adapters/a: no weights: there is none of adapter_model\.safetensors, adapter"
    ):
        checked(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"1234", "no safetensors file, or truncated: it has 4 bytes"),
        (b"\xff" * 64, "its first eight say that the header alone has"),
        (WHOLE[:100], "no safetensors file, or truncated"),
        (WHOLE[:-1], "truncated: its data end at byte"),
        (WHOLE + b"\0", "bytes after the header, but its tensors end at byte"),
        ((5).to_bytes(8, "little") + b"hello", "its header is not valid JSON"),
        ((2).to_bytes(8, "little") + b"[]", "its header is no mapping"),
        ((7).to_bytes(8, "little") + b'{"a":1}', "a: its header entry has no valid dtype, shape and data_offsets"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a pointer of Git LFS"),
        (safetensors({}), "the files hold no matrices"),
    ],
)
def test_damaged_files_are_bad(save, content, message):
    save({FILE: WHOLE}, "fine")
    root = save({FILE: content})
    with pytest.raises(SpecError) as caught:
        checked(root)
    assert str(caught.value).startswith(f"{root}: 1 adapter or folder cannot be read or used (--skip-bad")
    assert f"{root / 'a'}: " in str(caught.value)
    assert message in str(caught.value)
    assert [adapter.name for adapter in checked(root, skip_bad=True).adapters] == ["fine"]


def header_of(**entry):
    text = json.dumps({"x.lora_A.weight": entry}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(32)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 16]}, "F32 of shape [2, 4] takes 32 bytes, not 16"),
        ({"dtype": "F32", "shape": [2, 2], "data_offsets": [16, 32]}, "its data begin at byte 16, not 0"),
        ({"dtype": "F32", "shape": [2, -4], "data_offsets": [0, 32]}, "no valid dtype, shape"),
        ({"dtype": "F32", "shape": [2, 4], "data_offsets": [0]}, "no valid dtype, shape"),
        ({"dtype": 3, "shape": [2, 4], "data_offsets": [0, 32]}, "no valid dtype, shape"),
        ({"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 32]}, "takes"),
    ],
)
def test_a_header_that_contradicts_the_file_is_bad(save, entry, message):
    with pytest.raises(SpecError) as caught:
        checked(save({FILE: header_of(**entry)}))
    assert f"{FILE}: x.lora_A.weight: " in str(caught.value)
    assert message in str(caught.value)


A0 = PLACE.format(layer=0, module="q_proj", side="A")
B0 = PLACE.format(layer=0, module="q_proj", side="B")


@pytest.mark.parametrize(
    ("tensors", "fields", "message"),
    [
        (lora(rank=16), {}, f"{FILE}: {A0}: shape [16, 4096] has rank 16, but the configuration says 8"),
        (lora(), {"rank_pattern": {"q_proj": 4}}, f"{A0}: shape [8, 4096] has rank 8, but the configuration says 4"),
        (lora(**{B0: None}), {}, f"{A0}: lora_B of the same module is missing"),
        (lora(**{A0: None}), {}, f"{B0}: lora_A of the same module is missing"),
        (lora(**{A0: ("BF16", [8])}), {}, f"{A0}: shape [8] is not that of a matrix"),
        (lora(), {"target_modules": ["q_proj", "v_proj", "o_proj"]}, "no matrices of the target module o_proj"),
        (lora(), {"target_modules": ["v_proj"]}, f"{A0}: of no module in target_modules"),
    ],
)
def test_weights_that_contradict_the_configuration_are_bad(save, tensors, fields, message):
    with pytest.raises(SpecError) as caught:
        checked(save({FILE: safetensors(tensors)}, **fields), skip_unsupported=True)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (lora(**{A0: ("BF16", [8, 5120])}), f"{A0}: shape [8, 5120] has 5,120 inputs, but q_proj has 4,096"),
        (lora(**{B0: ("BF16", [2048, 8])}), f"{B0}: shape [2048, 8] has 2,048 outputs, but q_proj has 4,096"),
        (lora(layers=33), "layers.32.self_attn.q_proj.lora_A.weight: the model has no layer 32, but 32"),
        (lora(**{"base_model.model.lm_head.weight": ("F32", [2, 2])}), "lm_head.weight: neither a matrix lora_A nor"),
        (lora(**{A0: ("I8", [8, 4096])}), f"{A0}: I8 is not one of"),
    ],
)
def test_weights_that_vllm_does_not_load_are_unsupported(save, llama, tensors, message):
    save({FILE: WHOLE}, "fine")
    root = save({FILE: safetensors(tensors)})
    with pytest.raises(
        SpecError, match=r"cannot serve 1 of 2 adapters \(--skip-unsupported leaves them out\): a "
    ) as e:
        checked(root, served=llama)
    assert message in str(e.value)
    assert [adapter.name for adapter in checked(root, served=llama, skip_unsupported=True).adapters] == ["fine"]


def test_without_a_profile_shapes_are_not_compared_with_a_model(save):
    assert checked(save({FILE: safetensors(lora(**{A0: ("BF16", [8, 5120])}))})).weights


def test_patterns_of_ranks_are_applied_as_in_peft(save, llama):
    small = lora(**{A0: ("BF16", [4, 4096]), B0: ("BF16", [4096, 4])})
    assert checked(
        save({FILE: safetensors(small)}, rank_pattern={"layers.0.self_attn.q_proj": 4}), served=llama
    ).weights


def test_other_problems_of_a_kind_are_counted(save):
    with pytest.raises(SpecError, match="and 120 more like these"):
        checked(save({FILE: safetensors(lora(rank=4, layers=32))}))


def test_pickles_are_only_measured(save):
    found = checked(save({"adapter_model.bin": b"cos\nsystem\n(S'exit 1'\ntR."}))
    assert (found.weights["a"].dtypes, found.weights["a"].size) == ((), 25)


def test_an_empty_pickle_is_bad(save):
    with pytest.raises(SpecError, match=r"adapter_model\.bin: is empty"):
        checked(save({"adapter_model.bin": b""}))


def index(**files):
    return json.dumps({"weight_map": files}).encode()


def test_the_files_of_an_index_are_looked_at(save):
    names = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(sorted(lora()))}
    parts = {
        part: safetensors({name: lora()[name] for name in names if names[name] == part}) for part in names.values()
    }
    root = save({f"{FILE}.index.json": index(**names), **parts})
    with pytest.raises(
        SpecError, match=r"a \(adapter_model\.safetensors\.index\.json: vLLM does not load weights in se"
    ):
        checked(root)
    (root / "a" / "part-1.safetensors").unlink()
    with pytest.raises(SpecError, match=r"part-1\.safetensors: is not there"):
        checked(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "weight_map: must be a mapping of tensors to files"),
        (index(a="../../etc/passwd"), "'../../etc/passwd' must be a file in the same folder"),
        (b"{", "not valid JSON"),
    ],
)
def test_a_bad_index_is_named(save, content, message):
    with pytest.raises(SpecError) as caught:
        checked(save({f"{FILE}.index.json": content}))
    assert f"{FILE}.index.json: " in str(caught.value)
    assert message in str(caught.value)
