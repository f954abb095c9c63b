"""KVCache: the blocks of keys and values (vllm/v1/core/kv_cache_manager.py and block_pool.py)."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adaptwin.twin.reference.request import Request
from adaptwin.twin.server import Limits
from adaptwin.workload.drawing.prefixes import Prefixes

Key = tuple[int, int]  # the contents of a block: the first request that has these tokens, and the place of the block


@dataclass(slots=True, eq=False)
class Block:
    """A block that is held, or that is free and may still be hit."""

    key: Key | None = None  # None: not cached
    ref_cnt: int = 0  # requests that hold it


class KVCache:
    """All blocks. With prefix caching, those with the same contents and the same adapter can be shared.

    Only full blocks are cached. The free blocks wait in a queue, from whose front new blocks are taken; a cached block
    can be hit until then.
    """

    def __init__(self, limits: Limits, prefixes: Prefixes) -> None:
        self.block_size, self.num_blocks = limits.block_size, limits.kv_blocks
        self.enable_caching, self.prefixes = limits.prefix_caching, prefixes
        self.uncached_first = limits.uncached_first
        self.free_block_queue: OrderedDict[Block, None] = OrderedDict((Block(), None) for _ in range(self.num_blocks))
        self.cached_blocks: dict[Key, dict[Block, None]] = {}  # several with one key if they were computed apart
        self.held_blocks: dict[Request, list[Block]] = {}
        self._num_cached: dict[Request, int] = {}  # of the blocks that a request holds, how many first ones are cached

    @property
    def num_free_blocks(self) -> int:
        """Blocks that no request holds, whether they are cached or not."""
        return len(self.free_block_queue)

    @property
    def num_used_blocks(self) -> int:
        """Blocks that all requests together hold."""
        return self.num_blocks - self.num_free_blocks

    def num_blocks_of(self, request: Request) -> int:
        """Blocks that the request holds."""
        return len(self.held_blocks.get(request, ()))

    def num_blocks_for(self, num_tokens: int) -> int:
        """Blocks that this many tokens need."""
        return -(-num_tokens // self.block_size)

    def get_computed_blocks(self, request: Request) -> list[Block]:
        """Return the cached blocks with the request's first tokens; its last token is always left to be computed."""
        if not self.enable_caching:
            return []
        hits: list[Block] = []
        for place in range((request.num_tokens - 1) // self.block_size):
            blocks = self.cached_blocks.get(self._key(request, place))
            if not blocks:
                break
            hits.append(next(iter(blocks)))
        return hits

    def allocate_slots(
        self,
        request: Request,
        num_new_tokens: int,
        new_computed_blocks: Sequence[Block] = (),
        *,
        full_sequence_must_fit: bool = False,
        watermark_blocks: int = 0,
    ) -> bool:
        """Allocate the blocks for a request's next tokens. If too few are free, return False and allocate none.

        Args:
            request: The request that gets the blocks, in addition to those it holds.
            num_new_tokens: Tokens to be computed in the next step.
            new_computed_blocks: Cached blocks that the request hits; they are shared with it.
            full_sequence_must_fit: Require free blocks for all tokens of the request, although only those for the next
                tokens are allocated.
            watermark_blocks: Blocks that must stay free.
        """
        num_computed_tokens = request.num_computed_tokens + len(new_computed_blocks) * self.block_size
        num_tokens = num_computed_tokens + num_new_tokens
        must_fit = request.num_tokens if full_sequence_must_fit else num_tokens
        held = self.num_blocks_of(request) + sum(block.ref_cnt > 0 for block in new_computed_blocks)
        if self.num_blocks_for(must_fit) - held > self.num_free_blocks - watermark_blocks:
            return False
        blocks = self.held_blocks.setdefault(request, [])
        self._touch(new_computed_blocks)
        blocks.extend(new_computed_blocks)
        self._num_cached[request] = self._num_cached.get(request, 0) + len(new_computed_blocks)
        blocks.extend(self._new_block() for _ in range(self.num_blocks_for(num_tokens) - len(blocks)))
        self.cache_blocks(request, min(num_tokens, request.num_tokens))
        return True

    def cache_blocks(self, request: Request, num_tokens: int) -> None:
        """Let the request's blocks be hit as far as its first `num_tokens` fill them."""
        if not self.enable_caching:
            return
        cached, full = self._num_cached[request], num_tokens // self.block_size
        for place, block in enumerate(self.held_blocks[request][cached:full], cached):
            block.key = self._key(request, place)
            self.cached_blocks.setdefault(block.key, {})[block] = None
        self._num_cached[request] = max(cached, full)

    def free(self, request: Request) -> None:
        """Free the blocks of the request that no other request holds.

        They go to the end of the queue, the last block first, so that a prefix outlives what follows it. From vLLM 0.23
        on, those that are not cached go to its front.
        """
        blocks = self.held_blocks.pop(request, [])
        self._num_cached.pop(request, None)
        for block in reversed(blocks):
            block.ref_cnt -= 1
            if not block.ref_cnt:
                self.free_block_queue[block] = None
                if block.key is None and self.uncached_first:
                    self.free_block_queue.move_to_end(block, last=False)

    def _key(self, request: Request, place: int) -> Key:
        """Return the key of a full block; vLLM hashes the adapter and all tokens up to its end.

        Requests that share tokens have the same adapter.
        """
        owner, source = request.index, self.prefixes.source
        while len(source) and self.prefixes.tokens[owner] >= (place + 1) * self.block_size:
            owner = int(source[owner])
        return owner, place

    def _touch(self, blocks: Iterable[Block]) -> None:
        """Hold blocks that were hit; those that are free leave the queue."""
        for block in blocks:
            if not block.ref_cnt:
                del self.free_block_queue[block]
            block.ref_cnt += 1

    def _new_block(self) -> Block:
        """Take the block at the front of the queue, which can no longer be hit."""
        block, _ = self.free_block_queue.popitem(last=False)
        if block.key is not None:
            blocks = self.cached_blocks[block.key]
            del blocks[block]
            if not blocks:
                del self.cached_blocks[block.key]
        block.key, block.ref_cnt = None, 1
        return block
