"""Request: the progress of one request (vllm/v1/request.py)."""

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Request:
    """A request, with the number of its tokens that are computed, sampled, or expected from batches in flight."""

    index: int
    lora: int | None  # the adapter that must be in a slot; None: the base model
    num_prompt_tokens: int
    max_tokens: int  # actual length of the answer; a client may have asked for more (`Requests.asked`)
    num_computed_tokens: int = 0  # tokens whose keys and values are cached, or will be after the batches in flight
    num_output_tokens: int = 0
    num_preemptions: int = 0
    num_output_placeholders: int = 0  # output tokens that batches in flight will yield

    @property
    def num_tokens(self) -> int:
        """Prompt tokens and sampled output tokens."""
        return self.num_prompt_tokens + self.num_output_tokens

    @property
    def num_tokens_with_placeholders(self) -> int:
        """Tokens that must be computed before the next output token can be sampled."""
        return self.num_tokens + self.num_output_placeholders

    @property
    def is_prefill_chunk(self) -> bool:
        """Whether tokens remain to be computed after the scheduled step, which then yields no output token."""
        return self.num_computed_tokens < self.num_tokens_with_placeholders

    @property
    def is_decode(self) -> bool:
        """Whether only the latest output token remains to be computed. Read before `compute`."""
        known = self.num_tokens_with_placeholders
        return known > self.num_prompt_tokens and known - self.num_computed_tokens == 1

    @property
    def is_last_token_in_flight(self) -> bool:
        """Whether a batch in flight yields the last output token, so that the request needs no further step."""
        return self.num_output_placeholders > 0 and (
            self.num_output_tokens + self.num_output_placeholders == self.max_tokens
        )

    def compute(self, num_new_tokens: int) -> None:
        """Count further tokens as computed. This happens when their batch is scheduled, before it runs."""
        self.num_computed_tokens += num_new_tokens

    def reset(self) -> None:
        """Count no token as computed, after a preemption. Output tokens stay, and one in flight is still expected."""
        self.num_computed_tokens = 0
        self.num_preemptions += 1

    def expect_output_token(self) -> None:
        """Expect an output token from a batch in flight."""
        self.num_output_placeholders += 1

    def append_output_token(self) -> bool:
        """Append an expected output token and return whether it is the last one (`check_stop` in vLLM)."""
        self.num_output_placeholders -= 1
        self.num_output_tokens += 1
        return self.num_output_tokens == self.max_tokens
