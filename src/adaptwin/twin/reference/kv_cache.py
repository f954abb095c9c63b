"""KVCache: who holds how many blocks of keys and values (vllm/v1/core/kv_cache_manager.py)."""

from adaptwin.twin.reference.request import Request
from adaptwin.twin.server import Limits


class KVCache:
    """Blocks of keys and values, without prefix caching: no two requests share one."""

    def __init__(self, limits: Limits) -> None:
        self.block_size, self.num_blocks = limits.block_size, limits.kv_blocks
        self.num_free_blocks = limits.kv_blocks
        self._held: dict[Request, int] = {}

    @property
    def num_used_blocks(self) -> int:
        """Blocks that requests hold."""
        return self.num_blocks - self.num_free_blocks

    def num_blocks_of(self, request: Request) -> int:
        """Blocks that the request holds."""
        return self._held.get(request, 0)

    def num_blocks_for(self, num_tokens: int) -> int:
        """Blocks that this many tokens take."""
        return -(-num_tokens // self.block_size)

    def allocate_slots(
        self, request: Request, num_new_tokens: int, *, full_sequence_must_fit: bool = False, watermark_blocks: int = 0
    ) -> bool:
        """Give the request the blocks for its next tokens; False, and no block, where too few are free.

        Args:
            request: It keeps the blocks it has.
            num_new_tokens: Tokens to be computed next.
            full_sequence_must_fit: All of its tokens must fit, although only the next ones get blocks.
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
        """Take all of the request's blocks back."""
        self.num_free_blocks += self._held.pop(request, 0)
        assert self.num_free_blocks <= self.num_blocks
