"""EngineSpec: how an engine is started, in a word such as 64x16+few."""

from typing import NamedTuple, Self

FLAGS = ("sync", "eager", "triton", "active", "few")
FEW_GRAPHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)  # sizes of CUDA graphs that engines with the flag "few" capture
MODES: tuple[tuple[str, ...], ...] = ((), ("triton",), ("triton", "eager"))  # from the default to what needs least


class EngineSpec(NamedTuple):
    """How one engine is started: "0", "64x16", "16x16+sync", "16x16+triton+eager", "64x16+active".

    Flags: sync (no asynchronous scheduling), eager (no compilation, no CUDA graphs), triton (attention in Triton),
    active (vLLM's specialize_active_lora), few (CUDA graphs at FEW_GRAPHS only).
    """

    word: str
    max_loras: int  # 0: without LoRA
    max_lora_rank: int
    flags: tuple[str, ...]

    @classmethod
    def parse(cls, word: str) -> Self:
        """Read a word.

        Raises:
            SystemExit: It is none, or has an unknown flag.
        """
        size, *flags = word.split("+")
        loras, _, rank = size.partition("x")
        if not loras.isdigit() or not (rank or "16").isdigit():
            raise SystemExit(f"{word}: expected SLOTSxRANK, such as 64x16, or 0, and then flags")
        if unknown := sorted(set(flags) - set(FLAGS)):
            raise SystemExit(f"{word}: unknown flags {unknown}; expected {', '.join(FLAGS)}")
        return cls(word, int(loras), int(rank or 16), tuple(flags))

    def with_flags(self, *flags: str) -> "EngineSpec":
        """The same engine with further flags."""
        return EngineSpec.parse("+".join([self.word, *(flag for flag in flags if flag not in self.flags)]))

    @property
    def plain(self) -> str:
        """The word without "few": steps are measured at sizes that are captured anyway, so they are comparable."""
        return "+".join([self.word.split("+")[0], *(flag for flag in self.flags if flag != "few")])

    @property
    def fallback(self) -> "EngineSpec | None":
        """The engine to try where this one does not start; None: there is none that needs less."""
        for flags in MODES:
            if set(flags) - set(self.flags):
                return self.with_flags(*flags)
        return None
