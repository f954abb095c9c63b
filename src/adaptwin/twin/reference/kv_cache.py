"""KVCache: the number of blocks that each request holds (vllm/v1/core/kv_cache_manager.py)."""

from adaptwin.twin.reference.request import Request
from adaptwin.twin.server import Limits


class KVCache:
    """Blocks of keys and values. Without prefix caching, no two requests share a block."""

    def __init__(self, limits: Limits) -> None:
        self.block_size, self.num_blocks = limits.block_size, limits.kv_blocks
        self.num_free_blocks = limits.kv_blocks
        self._held: dict[Request, int] = {}

    @property
    def num_used_blocks(self) -> int:
        """Blocks that all requests together hold."""
        return self.num_blocks - self.num_free_blocks

    def num_blocks_of(self, request: Request) -> int:
        """Blocks that the request holds."""
        return self._held.get(request, 0)

    def num_blocks_for(self, num_tokens: int) -> int:
        """Blocks that this many tokens need."""
        return -(-num_tokens // self.block_size)

    def allocate_slots(
        self, request: Request, num_new_tokens: int, *, full_sequence_must_fit: bool = False, watermark_blocks: int = 0
    ) -> bool:
        """Allocate the blocks for a request's next tokens. If too few are free, return False and allocate none.

        Args:
            request: The request that gets the blocks, in addition to those it holds.
            num_new_tokens: Tokens to be computed in the next step.
            full_sequence_must_fit: Require free blocks for all tokens of the request, although only those for the next
                tokens are allocated.
            watermark_blocks: Blocks that must stay free.
        """
        num_tokens = request.num_computed_tokens + num_new_tokens
        must_fit = request.num_tokens if full_sequence_must_fit else num_tokens
        held = self.num_blocks_of(request)
        if self.num_blocks_for(must_fit) - held > self.num_free_blocks - watermark_blocks:
            return False
        self._held[request] = self.num_blocks_for(num_tokens)
        self.num_free_blocks -= self._held[request] - held
        assert self.num_free_blocks >= 0
        return True

    def free(self, request: Request) -> None:
        """Free all blocks of the request."""
        self.num_free_blocks += self._held.pop(request, 0)
        assert self.num_free_blocks <= self.num_blocks
