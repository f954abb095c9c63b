"""Prompts: what is sent to a server, random tokens or real texts from a file."""

import json
from pathlib import Path

import numpy as np

from adaptwin.errors import SpecError
from adaptwin.spec import read_text
from adaptwin.workload.drawing.prefixes import NO_PREFIXES, Prefixes
from adaptwin.workload.drawing.seeds import stream_seed

FIRST_TOKEN, LAST_TOKEN = 100, 1000  # ids that every vocabulary has, and that are no special tokens


class RandomPrompts:
    """Prompts of random tokens that begin alike only where the traffic says so.

    Of what a prompt shares with the answer before it, the tokens are random as well: the real answer has others.
    """

    has_drawn_lengths = True

    def __init__(self, seed: int) -> None:
        self._seed = stream_seed(seed, "prompts") >> 1

    def prompt(self, number: int, tokens: int, prefixes: Prefixes = NO_PREFIXES) -> str | list[int]:
        """Return the prompt of a request, by its number, with so many tokens."""
        parts = []  # the last one first: what each request had first, before what it shares
        while number >= 0:
            source, shared = (prefixes.source[number], prefixes.tokens[number]) if len(prefixes.source) else (-1, 0)
            drawn = np.random.default_rng((self._seed, number)).integers(FIRST_TOKEN, LAST_TOKEN, tokens)
            parts.append(drawn[shared:])
            number, tokens = int(source), min(tokens, int(shared))
        ids: list[int] = np.concatenate(parts[::-1]).tolist()
        return ids


class PromptsOfFile:
    """The texts of a file in turn: one in each line, as text, as a JSON string, or as the ``prompt`` of an object."""

    has_drawn_lengths = False

    def __init__(self, path: Path) -> None:
        lines = read_text(path).replace("\r\n", "\n").split("\n")  # not at all that Unicode takes for line breaks
        self._texts = [_text_of(line, number, path) for number, line in enumerate(lines, start=1) if line.strip()]
        if not self._texts:
            raise SpecError("has no prompts: one is expected in each line", file=path)

    def prompt(self, number: int, _tokens: int, _prefixes: Prefixes = NO_PREFIXES) -> str | list[int]:
        """Return the prompt of a request, by its number."""
        return self._texts[number % len(self._texts)]


Prompts = RandomPrompts | PromptsOfFile


def _text_of(line: str, number: int, path: Path) -> str:
    if line.lstrip()[0] not in '{"':
        return line
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"no JSON: {error}", f"line {number}", path) from None
    text = data.get("prompt") if isinstance(data, dict) else data
    if not isinstance(text, str) or not text:
        raise SpecError("has no text under 'prompt'", f"line {number}", path)
    return text
