"""Request: how far a request has come (vllm/v1/request.py)."""

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Request:
    """A request with the tokens that are computed, sampled, or being made by a batch in flight."""

    index: int
    lora: int | None  # the adapter that must be in a slot; None: the base model
    num_prompt_tokens: int
    max_tokens: int  # the length of the answer
    num_computed_tokens: int = 0  # their keys and values are cached, or will be when the batches in flight are done
    num_output_tokens: int = 0
    num_output_placeholders: int = 0  # output tokens that batches in flight will yield

    @property
    def num_tokens(self) -> int:
        """Prompt and output tokens."""
        return self.num_prompt_tokens + self.num_output_tokens

    @property
    def num_tokens_with_placeholders(self) -> int:
        """Tokens that must be computed before the next one can be sampled."""
        return self.num_tokens + self.num_output_placeholders

    @property
    def is_prefill_chunk(self) -> bool:
        """Whether tokens are left to be computed, so that the step yields no token (asked after scheduling)."""
        return self.num_computed_tokens < self.num_tokens_with_placeholders

    @property
    def is_decode(self) -> bool:
        """Whether the next step computes the token sampled last and no other (asked before scheduling)."""
        known = self.num_tokens_with_placeholders
        return known > self.num_prompt_tokens and known - self.num_computed_tokens == 1

    @property
    def is_last_token_in_flight(self) -> bool:
        """Whether a batch in flight makes the last token, so that no further step is needed."""
        return self.num_output_placeholders > 0 and (
            self.num_output_tokens + self.num_output_placeholders == self.max_tokens
        )

    def compute(self, num_new_tokens: int) -> None:
        """Count the tokens of a batch that is about to be computed as computed."""
        self.num_computed_tokens += num_new_tokens

    def reset(self) -> None:
        """Count nothing as computed; output tokens stay, and one that is being made is still expected."""
        self.num_computed_tokens = 0

    def expect_output_token(self) -> None:
        """A batch in flight is making a token."""
        self.num_output_placeholders += 1

    def append_output_token(self) -> bool:
        """The token is there; returns whether it is the last one (vLLM: `check_stop`)."""
        self.num_output_placeholders -= 1
        self.num_output_tokens += 1
        return self.num_output_tokens == self.max_tokens
