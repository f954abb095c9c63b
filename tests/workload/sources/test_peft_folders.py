"""Folders of PEFT adapters: trainer runs, caches of the Hugging Face hub, nested and linked folders, and names."""

import json
import os

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptwin import SpecError
from adaptwin.plan.fleet import Fleet, read_fleet
from adaptwin.workload.sources.peft import adapters_from_peft, read_peft_folder

CONFIG = {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj"]}
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")


def put(folder, **fields):
    """Save a configuration in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **fields}), encoding="utf-8")
    return folder


def names(*folders, **options):
    return [adapter.name for adapter in read_peft_folder(*folders, rate=1.0, **options).adapters]


@pytest.fixture
def run(tmp_path):
    """Return a training run with a final adapter of rank 8, and checkpoints of other ranks."""
    for step in (500, 1500, 1000):
        put(tmp_path / "out" / f"checkpoint-{step}", r=step // 500)
    return put(tmp_path / "out")


def test_the_final_adapter_of_a_run_counts_once(run):
    for place in (run, run.parent):
        found = read_peft_folder(place, rate=1.0)
        assert [(adapter.name, adapter.rank) for adapter in found.adapters] == [("out", 8)]
        assert (found.checkpoints, found.taken) == ({"out": (500, 1000, 1500)}, {})


def test_without_a_final_adapter_the_highest_step_counts(run):
    (run / "adapter_config.json").unlink()
    found = read_peft_folder(run.parent, rate=1.0)
    assert [(adapter.name, adapter.rank) for adapter in found.adapters] == [("out", 3)]
    assert found.adapters[0].artifact == str(run / "checkpoint-1500")
    assert found.taken == {"out": 1500}


def test_a_checkpoint_can_be_chosen(run):
    put(run.parent / "plain", r=64)
    found = read_peft_folder(run.parent, rate=1.0, checkpoint=1000)
    assert [(adapter.name, adapter.rank) for adapter in found.adapters] == [("out", 2), ("plain", 64)]
    assert found.taken == {"out": 1000}


def test_a_run_without_the_chosen_checkpoint_is_named(run):
    put(run.parent / "other" / "checkpoint-7")
    with pytest.raises(SpecError, match=r"other: has no checkpoint-500, but 7"):
        names(run.parent, checkpoint=500)
    assert names(run.parent, checkpoint=500, skip_bad=True) == ["out"]
    with pytest.raises(SpecError, match="checkpoint: no adapter has a folder checkpoint-3"):
        names(run.parent, checkpoint=3)


def test_a_checkpoint_that_is_given_itself_has_its_own_name(run):
    assert names(run / "checkpoint-500") == ["checkpoint-500"]
    assert names(run / "checkpoint-500" / "adapter_config.json") == ["checkpoint-500"]


def test_adapters_below_checkpoints_belong_to_the_run(tmp_path):
    for step in (10, 9):
        put(tmp_path / "dpo" / f"checkpoint-{step}" / "policy", r=step)
    assert [(a.name, a.rank) for a in adapters_from_peft(tmp_path, rate=1.0)] == [("policy", 10)]


@pytest.fixture
def cache(tmp_path):
    """Return a cache of the hub with two snapshots of an adapter, and a base model without one."""
    repository = tmp_path / "hub" / "models--acme--sql-lora--v2"
    for number, rank in ((1, 16), (2, 32)):
        blob = repository / "blobs" / f"b{number}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_text(json.dumps({**CONFIG, "r": rank}))
        snapshot = repository / "snapshots" / (str(number) * 40)
        snapshot.mkdir(parents=True)
        (snapshot / "adapter_config.json").symlink_to(f"../../blobs/b{number}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("1" * 40 + "\n")
    absent = tmp_path / "hub" / "models--meta-llama--Llama-3.1-8B" / ".no_exist" / ("3" * 40)
    absent.mkdir(parents=True)
    (absent.parents[1] / "snapshots" / ("3" * 40)).mkdir(parents=True)
    (absent.parents[1] / "refs").mkdir()
    (absent.parents[1] / "refs" / "main").write_text("3" * 40)
    (absent / "adapter_config.json").touch()  # how the hub notes that the repository has no such file
    return tmp_path / "hub"


def test_a_repository_counts_once_with_its_current_snapshot(cache):
    repository = cache / "models--acme--sql-lora--v2"
    for place in (cache, cache.parent, repository, repository / "snapshots", repository / "snapshots" / ("1" * 40)):
        found = read_peft_folder(place, rate=1.0)
        assert [(adapter.name, adapter.rank) for adapter in found.adapters] == [("acme/sql-lora--v2", 16)]
    assert read_peft_folder(cache, rate=1.0).older == {"acme/sql-lora--v2": ("2" * 40,)}


def test_without_a_reference_the_newest_snapshot_counts(cache):
    repository = cache / "models--acme--sql-lora--v2"
    (repository / "refs" / "main").unlink()
    os.utime(repository / "snapshots" / ("1" * 40), (1e9, 1e9))
    assert [adapter.rank for adapter in adapters_from_peft(cache, rate=1.0)] == [32]
    os.utime(repository / "snapshots" / ("2" * 40), (1e8, 1e8))
    assert [adapter.rank for adapter in adapters_from_peft(cache, rate=1.0)] == [16]


def test_a_reference_to_a_snapshot_that_is_not_there_is_named(cache):
    put(cache / "fine")
    (cache / "models--acme--sql-lora--v2" / "refs" / "main").write_text("9" * 40)
    with pytest.raises(SpecError, match=r"sql-lora--v2: refs/main names the snapshot '9{40}', which is not there"):
        names(cache)
    assert names(cache, skip_bad=True) == ["fine"]


def test_a_blob_that_is_not_there_is_named(cache):
    (cache / "models--acme--sql-lora--v2" / "blobs" / "b1").unlink()
    with pytest.raises(SpecError, match=r"adapter_config\.json: cannot be read: a link to a file that is not there"):
        names(cache)


def test_links_that_were_copied_as_text_are_followed(cache):
    config = cache / "models--acme--sql-lora--v2" / "snapshots" / ("1" * 40) / "adapter_config.json"
    config.unlink()
    config.write_text("../../blobs/b1")
    found = read_peft_folder(cache, rate=1.0)
    assert [adapter.rank for adapter in found.adapters] == [16]
    assert "links that were copied as text" in found.warnings["acme/sql-lora--v2"]
    config.write_text("../../blobs/../../secret")
    with pytest.raises(SpecError, match="not valid JSON"):
        names(cache)


def test_adapters_in_a_repository_are_named_after_it(cache):
    put(cache / "models--acme--sql-lora--v2" / "snapshots" / ("1" * 40) / "de")
    assert names(cache) == ["acme/sql-lora--v2", "acme/sql-lora--v2/de"]


def test_nested_adapters_have_names_that_tell_them_apart(tmp_path):
    put(tmp_path / "nested" / "nested")
    root = put(tmp_path / "nested")
    assert names(root) == ["nested", "nested/nested"]
    assert names(tmp_path) == ["nested", "nested/nested"]


def test_the_folder_of_the_process_has_its_real_name(tmp_path, monkeypatch):
    monkeypatch.chdir(put(tmp_path / "chat"))
    assert names(".") == ["chat"]
    assert names("adapter_config.json") == ["chat"]


def test_adapters_of_several_folders_are_told_apart(tmp_path):
    for place in ("x/adapters/chat", "y/adapters/chat", "z/sql"):
        put(tmp_path / place)
    both = [tmp_path / "x" / "adapters", tmp_path / "y" / "adapters"]
    assert names(*both) == [str(folder / "chat") for folder in both]
    assert names(tmp_path / "x", tmp_path / "y", tmp_path / "z") == ["x/adapters/chat", "y/adapters/chat", "sql"]
    assert names(tmp_path / "z", tmp_path / "z" / "sql", tmp_path / "z") == ["sql"]


def test_links_that_form_a_cycle_end(tmp_path):
    for one, other in (("a", "b"), ("b", "a")):
        put(tmp_path / "root" / one)
        (tmp_path / "root" / one / "to").symlink_to(tmp_path / "root" / other)
    (tmp_path / "root" / "self").symlink_to("self")
    (tmp_path / "root" / "up").symlink_to("..")
    (tmp_path / "root" / "gone").symlink_to("nowhere")
    assert names(tmp_path / "root") == ["a", "b"]
    with pytest.raises(SpecError, match="self: cannot be read: "):
        names(tmp_path / "root" / "self")


def test_an_adapter_behind_several_links_counts_once_under_its_own_name(tmp_path):
    put(tmp_path / "root" / "v3")
    (tmp_path / "root" / "current").symlink_to("v3")
    assert names(tmp_path / "root") == ["v3"]


@as_user
def test_folders_that_cannot_be_read_are_named(tmp_path):
    put(tmp_path / "fine")
    closed = put(tmp_path / "closed")
    closed.chmod(0)
    try:
        with pytest.raises(SpecError, match="closed: cannot be read: Permission denied"):
            names(tmp_path)
        assert names(tmp_path, skip_bad=True) == ["fine"]
    finally:
        closed.chmod(0o700)


@as_user
def test_a_configuration_that_cannot_be_read_is_named(tmp_path):
    put(tmp_path / "fine")
    config = put(tmp_path / "closed") / "adapter_config.json"
    config.chmod(0)
    with pytest.raises(SpecError, match=r"closed/adapter_config\.json: cannot be read: Permission denied"):
        names(tmp_path)


def test_all_problems_are_in_one_list(tmp_path):
    put(tmp_path / "fine")
    put(tmp_path / "zero", r=0)
    put(tmp_path / "dora", use_dora=True)
    for place, text in (("broken", "{"), ("empty", ""), ("list", "[]"), ("binary", "\0\x01"), ("deep", "[" * 10**5)):
        (put(tmp_path / place) / "adapter_config.json").write_text(text)
    (put(tmp_path / "folder") / "adapter_config.json").unlink()
    (tmp_path / "folder" / "adapter_config.json").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (put(tmp_path / "fifo") / "adapter_config.json").unlink()
    os.mkfifo(tmp_path / "fifo" / "adapter_config.json")
    with pytest.raises(SpecError) as caught:
        names(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: 8 adapters or folders cannot be read or used (--skip-bad goes on without)")
    assert "vLLM cannot serve 1 of 2 adapters (--skip-unsupported leaves them out): dora (use_dora" in message
    for place in ("zero", "broken", "empty", "list", "binary", "deep", "folder", "fifo"):
        assert f"{tmp_path / place}/adapter_config.json: " in message
    with pytest.raises(SpecError, match="vLLM cannot serve 1 of 2") as caught:
        names(tmp_path, skip_bad=True)
    assert "cannot be read" not in str(caught.value)
    with pytest.raises(SpecError, match="8 adapters or folders") as caught:
        names(tmp_path, skip_unsupported=True)
    assert "vLLM cannot serve" not in str(caught.value)
    found = read_peft_folder(tmp_path, rate=1.0, skip_bad=True, skip_unsupported=True)
    assert ([adapter.name for adapter in found.adapters], len(found.bad), list(found.skipped)) == (
        ["fine"],
        8,
        ["dora"],
    )


def test_nothing_is_left_if_all_adapters_are_bad(tmp_path):
    put(tmp_path / "zero", r=0)
    with pytest.raises(SpecError, match="1 adapter or folder cannot be read or used"):
        names(tmp_path, skip_bad=True, skip_unsupported=True)


def test_a_file_of_another_name_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SpecError, match=r"config\.json: is a file: give a folder, or a file adapter_config\.json"):
        names(tmp_path / "config.json")


def test_a_name_that_is_not_text_is_bad(tmp_path):
    put(tmp_path / "fine")
    put(tmp_path / os.fsdecode(b"caf\xe9"))
    with pytest.raises(SpecError, match=r"caf\\udce9/adapter_config\.json: the name of its folder is not valid UTF-8"):
        names(tmp_path)
    assert names(tmp_path, skip_bad=True) == ["fine"]


ODD = [
    "1:30",
    "null",
    "0x1F",
    "on",
    "2024-05-01",
    "007",
    "1e3",
    "a=b,c",
    "it's",
    "~",
    "- a",
    "&x",
    "*x",
    "!!int 1",
    "#",
]
FOLDER_NAMES = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="/"), min_size=1, max_size=40).filter(
        lambda name: name not in (".", "..") and len(name.encode()) < 200
    ),
)


@given(st.sets(FOLDER_NAMES, min_size=1, max_size=8))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_names_survive_the_fleet_file(tmp_path_factory, names_of_folders):
    root = tmp_path_factory.mktemp("names")
    for name in names_of_folders:
        put(root / "adapters" / name)
    adapters = adapters_from_peft(root / "adapters", rate=1.0)
    Fleet(adapters=adapters).write(root / "fleet.yaml")
    read = read_fleet(root / "fleet.yaml")
    assert {adapter.name for adapter in read.adapters} == names_of_folders
    assert read.adapters == adapters
    safe = yaml.safe_load((root / "fleet.yaml").read_text(encoding="utf-8"))
    assert {adapter["name"] for adapter in safe["adapters"]} == names_of_folders
