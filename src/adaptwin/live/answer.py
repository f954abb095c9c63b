"""Answer: what became of one request that was sent to a running server, with the time of each token."""

import json
from array import array
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from adaptwin.errors import ServerError
from adaptwin.live.connection import message_of, said_as_server_error

if TYPE_CHECKING:
    import aiohttp

NOT_REACHED = -1
_DATA = b"data: "
_LAST = b"[DONE]"
_LARGEST_LINE = 1 << 20  # bytes of one event
_TOO_LONG = ("max_model_len", "maximum context length", "maximum model length", "longer than the maximum")


@dataclass(slots=True)
class Answer:
    """What became of a request; times in nanoseconds on the clock of `time.perf_counter_ns`."""

    sent: int = NOT_REACHED
    first: int = NOT_REACHED  # token
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
    session: "aiohttp.ClientSession", url: str, fields: dict[str, Any], answer: Answer, timeout: float
) -> None:
    """Send a request and note in `answer` what comes back; errors are noted there, too.

    Args:
        session: Open session.
        url: Address of the server.
        fields: Body of the request.
        answer: Record to fill in, which holds what has come so far if the call is cancelled.
        timeout: Seconds in which something must come, from the request on and after each event.
    """
    import aiohttp

    limit = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
    answer.sent = perf_counter_ns()
    try:
        with said_as_server_error(url, timeout):
            async with session.post(
                f"{url}/v1/completions", json=fields, timeout=limit, read_bufsize=_LARGEST_LINE
            ) as response:
                if response.status != 200:
                    _note_refusal(answer, response.status, await response.text(errors="replace"))
                    return
                await _read_events(response, answer)
    except ServerError as error:
        answer.error = error.message
        return
    if not answer.error and answer.tokens < fields["min_tokens"]:
        answer.error = f"the answer ended after {answer.tokens} of {fields['min_tokens']} tokens"
    if not answer.error:
        answer.last = answer.first + sum(answer.gaps)


async def _read_events(response: "aiohttp.ClientResponse", answer: Answer) -> None:
    """Read the events of a stream until its end."""
    latest = NOT_REACHED
    async for line in response.content:
        if not line.startswith(_DATA) or line.startswith(_LAST, len(_DATA)):
            continue
        now = perf_counter_ns()
        try:
            event = json.loads(line[len(_DATA) :])
        except ValueError:
            answer.error = "an event of the stream is no JSON"
            return
        if "error" in event:
            answer.error = message_of(json.dumps(event))
            return
        usage = event.get("usage") or {}
        answer.prompt_tokens = usage.get("prompt_tokens") or answer.prompt_tokens
        if not event.get("choices"):
            continue
        tokens = usage.get("completion_tokens") or answer.tokens + 1
        new = tokens - answer.tokens
        if new < 1:
            continue
        if latest == NOT_REACHED:
            answer.first = now
        else:
            answer.gaps.append(now - latest)
        answer.gaps.extend([0] * (new - 1))
        answer.tokens, latest = tokens, now


def _note_refusal(answer: Answer, status: int, text: str) -> None:
    said = message_of(text)
    answer.is_rejected = status == 400 and any(words in said.lower() for words in _TOO_LONG)
    answer.error = f"{status}: {said}"
