"""Answer: what became of one request that was sent to a running server, with the time of each token."""

import json
from array import array
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from adaptwin.errors import ServerError
from adaptwin.live.connection import message_of, said_as_server_error, text_of
from adaptwin.workload.drawing.requests import NANOSECONDS

if TYPE_CHECKING:
    import aiohttp

NOT_REACHED = -1
_DATA = b"data:"
_DONE = b"[DONE]"
_LARGEST_EVENT = 1 << 20  # bytes
_MOST_TOKENS = 1 << 31  # of a prompt or an answer; a server that counts more is not believed
_TOO_LONG = ("max_model_len", "maximum context length", "maximum model length", "longer than the maximum")


@dataclass(slots=True)
class TakenAnswer:
    """What became of a request; times in nanoseconds on the clock of `time.perf_counter_ns`."""

    sent: int = NOT_REACHED
    first: int = NOT_REACHED  # token
    latest: int = NOT_REACHED  # token so far
    last: int = NOT_REACHED  # token, once the answer is complete
    tokens: int = 0  # of the answer so far
    prompt_tokens: int = 0  # as the server counted them; 0: it has not said
    gaps: "array[int]" = field(default_factory=lambda: array("q"))  # nanoseconds between tokens; 0 within one event
    error: str = ""  # why there is no complete answer, in words
    is_rejected: bool = False  # the server refuses requests that are so long

    @property
    def is_complete(self) -> bool:
        """Whether all tokens have come."""
        return self.last != NOT_REACHED


def completion_fields(model: str, prompt: str | list[int], answer_tokens: int) -> dict[str, Any]:
    """Return the body of a request for an answer of exactly so many tokens, as a stream that counts them."""
    return {
        "model": model,
        "prompt": prompt,
        "max_tokens": answer_tokens,
        "min_tokens": answer_tokens,
        "ignore_eos": True,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }


async def take_answer(
    session: "aiohttp.ClientSession", url: str, fields: dict[str, Any], answer: TakenAnswer, timeout: float
) -> None:
    """Send a request and note in `answer` what comes back; errors are noted there, too.

    Args:
        session: Open session.
        url: Address of the server.
        fields: Body of the request.
        answer: Record to fill in, which holds what has come so far if the call is cancelled.
        timeout: Seconds in which the first token must come, and each further one.
    """
    import aiohttp

    limit = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
    answer.sent = perf_counter_ns()
    try:
        with said_as_server_error(url, timeout):
            async with session.post(f"{url}/v1/completions", json=fields, timeout=limit) as response:
                if response.status != 200:
                    _note_refusal(answer, response.status, await text_of(response, url))
                    return
                await _read_events(response, answer, fields["max_tokens"], timeout)
    except ServerError as error:
        answer.error = error.message
        return
    if not answer.error and answer.tokens < fields["max_tokens"]:
        answer.error = f"the answer ended after {answer.tokens} of {fields['max_tokens']} tokens"
    if not answer.error:
        answer.last = answer.latest


async def _read_events(
    response: "aiohttp.ClientResponse", answer: TakenAnswer, asked_tokens: int, timeout: float
) -> None:
    """Read the events of a stream until its end, or until one of them shows that the answer fails."""
    rest = b""
    async for data in response.content.iter_any():
        now = perf_counter_ns()
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line.startswith(_DATA) and not answer.error:
                _note_event(answer, line[len(_DATA) :].strip(), now, asked_tokens)
        if len(rest) > _LARGEST_EVENT:
            answer.error = f"an event of the stream is longer than {_LARGEST_EVENT:,} bytes"
        elif now - max(answer.sent, answer.latest) > timeout * NANOSECONDS:  # a proxy may send comments meanwhile
            answer.error = answer.error or f"no token within {timeout:g} s"
        if answer.error:
            return


def _note_event(answer: TakenAnswer, text: bytes, now: int, asked_tokens: int) -> None:
    """Note the tokens of an event; only the last event of vLLM has no choices, and counts all tokens once more."""
    if text == _DONE:
        return
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        answer.error = "an event of the stream is no JSON object"
        return
    if event.get("error"):
        answer.error = message_of(json.dumps(event))
        return
    usage = event.get("usage")
    answer.prompt_tokens = _tokens_counted(usage, "prompt_tokens") or answer.prompt_tokens
    has_tokens = bool(event.get("choices"))
    tokens = _tokens_counted(usage, "completion_tokens") or answer.tokens + has_tokens
    if tokens > asked_tokens:
        answer.error = f"the answer has more than the {asked_tokens} tokens asked for"
    elif tokens > answer.tokens and (has_tokens or answer.tokens):
        _note_tokens(answer, tokens, now if has_tokens else answer.latest)


def _note_tokens(answer: TakenAnswer, tokens: int, now: int) -> None:
    """Note that there are now so many tokens; all new ones came at once."""
    gaps = [0] * (tokens - answer.tokens)
    if answer.first == NOT_REACHED:
        answer.first = answer.latest = now
        del gaps[0]
    else:
        gaps[0] = now - answer.latest
    answer.gaps.extend(gaps)
    answer.tokens, answer.latest = tokens, now


def _tokens_counted(usage: Any, field: str) -> int:
    """Return a number of tokens in the usage of an event; 0 if it has none."""
    count = usage.get(field) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and 0 < count < _MOST_TOKENS else 0


def _note_refusal(answer: TakenAnswer, status: int, text: str) -> None:
    said = message_of(text)
    answer.is_rejected = status == 400 and any(words in said.lower() for words in _TOO_LONG)
    answer.error = f"{status}: {said}"
