"""Which prompts of a log begin alike: by hashes of blocks, and by texts of which only hashes are kept."""

import json

import numpy as np
import pytest

from adaptwin import SpecError
from adaptwin.workload.sources.conversations import conversations
from adaptwin.workload.sources.logged_adapters import AdapterRanks, log_window
from adaptwin.workload.sources.request_log.block_hashes import hashed_prefixes, prefixes_of_texts
from adaptwin.workload.sources.request_log.request_log import LogColumns, read_request_log
from adaptwin.workload.sources.traces import read_trace, trace_window, workload_from_trace


def trace(tmp_path, *rows):
    """Write a trace of Mooncake's form; rows are (milliseconds, prompt, hashes)."""
    path = tmp_path / "trace.jsonl"
    lines = [
        json.dumps({"timestamp": at, "input_length": prompt, "output_length": 5, "hash_ids": ids})
        for at, prompt, ids in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_prompts_share_as_many_tokens_as_their_first_blocks_are_the_same(tmp_path):
    path = trace(
        tmp_path,
        (0, 1500, [1, 2, 3]),
        (1000, 1500, [1, 2, 4]),
        (2000, 900, [7, 8]),
        (3000, 1300, [1, 2, 3]),
        (4000, 2000, [1, 2, 4, 9]),
        (5000, 400, [7]),
    )
    prefixes = read_trace(path).prefixes
    assert prefixes.source.tolist() == [-1, 0, -1, 0, 1, 2]
    assert prefixes.tokens.tolist() == [0, 1024, 0, 1300, 1500, 400]


def test_the_same_hash_after_other_blocks_is_another_block():
    prefixes = hashed_prefixes(["[1, 5]", "[2, 5]", None], np.array([1000, 1000, 1000]), "hash_ids", "t.jsonl")
    assert prefixes.source.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("text", ["1, 2", "{}", '["a"]', "[1.5]", "[" * 200_000])
def test_hashes_that_are_no_list_of_numbers_are_refused(text):
    with pytest.raises(SpecError, match=r"t\.jsonl: hash_ids: .* is not a list of whole numbers"):
        hashed_prefixes(["[1]", text], np.array([10, 10]), "hash_ids", "t.jsonl")


def test_conversations_go_to_one_adapter_but_a_common_beginning_ties_nothing(tmp_path):
    """All 40 conversations of three turns begin with block 0, a system prompt."""
    rows = [
        (1000 * (40 * turn + talk), 600 + 512 * turn, [0, *range(1000 * (talk + 1), 1000 * (talk + 1) + turn + 1)])
        for turn in range(3)
        for talk in range(40)
    ]
    path = trace(tmp_path, *rows)
    number = conversations(read_trace(path).prefixes)
    assert len(set(number.tolist())) == 40
    workload = workload_from_trace(path, adapters=4, ranks=(8,), popularity="uniform", busiest=float("inf"))
    assert sum(len(adapter.arrivals) for adapter in workload.adapters) == 120
    for adapter in workload.adapters:
        assert len(adapter.prefixes) == len(adapter.arrivals)
        assert sum(source < 0 for source, _ in adapter.prefixes) == 1  # the first request with the system prompt
        turns = sum(tokens > 512 for _, tokens in adapter.prefixes)
        assert turns == len(adapter.arrivals) * 2 // 3
    without = trace_window(path, busiest=float("inf"), prefixes=False).workload(adapters=4, ranks=(8,))
    assert not any(adapter.prefixes for adapter in without.adapters)


def test_texts_share_whole_chunks_of_characters_in_proportion():
    """The second text has 200 of 400 characters in common, of which 192 are whole chunks: 48 of 100 tokens."""
    first = "a" * 300
    second = "a" * 200 + "b" * 200
    prefixes = prefixes_of_texts([first, second, second, None], np.array([75, 100, 100, 50]), np.array([0, 0, 1, 0]))
    assert prefixes.source.tolist() == [-1, 0, -1, -1]
    assert prefixes.tokens.tolist() == [0, 48, 0, 0]


def test_a_log_with_texts_keeps_which_prompts_begin_alike_and_no_text(tmp_path):
    path = tmp_path / "log.jsonl"
    system = "You are a helpful assistant of our shop. " * 10
    rows = [
        {
            "timestamp": 1_700_000_000 + 3 * i,
            "model": ("a", "b")[i % 2],
            "prompt_tokens": 120,
            "completion_tokens": 9,
            "prompt": system + f"Question {i}: " + "x" * 50,
        }
        for i in range(40)
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    log = read_request_log([path], columns=LogColumns(prompt="prompt"))
    workload = log_window(log, AdapterRanks(rank=8)).workload()
    for adapter in workload.adapters:
        shared = [tokens for _, tokens in adapter.prefixes]
        assert shared[0] == 0
        assert min(shared[1:]) == max(shared[1:]) > 80
    assert "helpful" not in repr(workload)
    plain = log_window(read_request_log([path]), AdapterRanks(rank=8)).workload()
    assert not any(adapter.prefixes for adapter in plain.adapters)
