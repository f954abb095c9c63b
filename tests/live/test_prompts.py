"""Prompts: random tokens of the drawn lengths, or the texts of a file in turn."""

import numpy as np
import pytest

from adaptwin import SpecError
from adaptwin.live.prompts import FIRST_TOKEN, LAST_TOKEN, PromptsOfFile, RandomPrompts
from adaptwin.workload.drawing.prefixes import Prefixes


def prompts_of(tmp_path, text):
    (tmp_path / "prompts.txt").write_text(text, encoding="utf-8")
    return PromptsOfFile(tmp_path / "prompts.txt")


def test_random_prompts_have_the_asked_length_and_begin_differently():
    prompts = RandomPrompts(3)
    made = [prompts.prompt(number, 16) for number in range(200)]
    assert {len(prompt) for prompt in made} == {16}
    assert all(FIRST_TOKEN <= token < LAST_TOKEN for prompt in made for token in prompt)
    assert len({tuple(prompt) for prompt in made}) == 200  # a block of a prefix cache has 16 tokens
    assert made == [RandomPrompts(3).prompt(number, 16) for number in range(200)]
    assert made[0] != RandomPrompts(4).prompt(0, 16)
    assert prompts.has_drawn_lengths


def test_each_line_is_a_prompt_as_text_or_json(tmp_path):
    prompts = prompts_of(tmp_path, 'plain text\n\n"a \\"string\\""\n{"prompt": "of an object", "id": 3}\n   \nümlaut\n')
    made = [prompts.prompt(number, 1) for number in range(6)]
    assert made == ["plain text", 'a "string"', "of an object", "ümlaut", "plain text", 'a "string"']
    assert not prompts.has_drawn_lengths


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "has no prompts: one is expected in each line"),
        ("\n  \n", "has no prompts: one is expected in each line"),
        ('good\n{"prompt": "half', "line 2: no JSON"),
        ('good\n\n{"text": "wrong key"}', "line 3: has no text under 'prompt'"),
        ('{"prompt": ["a", "b"]}', "line 1: has no text under 'prompt'"),
        ('""', "line 1: has no text under 'prompt'"),
    ],
)
def test_errors_name_file_and_line(tmp_path, text, error):
    with pytest.raises(SpecError) as caught:
        prompts_of(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'prompts.txt'}: {error}")


def test_a_line_break_inside_a_json_string_is_no_new_line(tmp_path):
    """As are separators that only Unicode knows, which `str.splitlines` takes for the end of a line."""
    prompts = prompts_of(tmp_path, '{"prompt": "one\\ntwo"}\n{"prompt": "three\u2028four\x85five"}\n')
    assert [prompts.prompt(number, 1) for number in range(3)] == ["one\ntwo", "three\u2028four\x85five", "one\ntwo"]


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"missing\.txt"):
        PromptsOfFile(tmp_path / "missing.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x01" * 10)
    with pytest.raises(SpecError, match="binary"):
        PromptsOfFile(tmp_path / "binary")


def test_prompts_begin_alike_for_as_many_tokens_as_the_traffic_says():
    """The third prompt shares 12 tokens with the second, of which the second shares 5 with the first."""
    prefixes = Prefixes(np.array([-1, 0, 1, -1], np.int32), np.array([0, 5, 12, 0], np.int32))
    prompts = RandomPrompts(3)
    first, second, third, other = (prompts.prompt(number, 16, prefixes) for number in range(4))
    assert first == prompts.prompt(0, 16)
    assert (second[:5], third[:12]) == (first[:5], second[:12])
    assert second[5] != first[5]
    assert third[12] != second[12]
    assert other[0] != first[0]
