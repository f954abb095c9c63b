"""Shapes of the models of the public runs, by their names on the Hugging Face hub; from their config.json files."""

from adaptwin.profile.model_shape import ModelShape

_QWEN_7B = {
    "hidden": 3584, "layers": 28, "heads": 28, "kv_heads": 4, "head_dim": 128, "intermediate": 18944,
    "vocabulary": 152064,
}  # fmt: skip
_QWEN_32B = {
    "hidden": 5120, "layers": 64, "heads": 40, "kv_heads": 8, "head_dim": 128, "intermediate": 27648,
    "vocabulary": 152064,
}  # fmt: skip
_LLAMA_8B = {
    "hidden": 4096, "layers": 32, "heads": 32, "kv_heads": 8, "head_dim": 128, "intermediate": 14336,
    "vocabulary": 128256,
}  # fmt: skip

_LLAMA_70B = {
    "hidden": 8192, "layers": 80, "heads": 64, "kv_heads": 8, "head_dim": 128, "intermediate": 28672,
    "vocabulary": 128256,
}  # fmt: skip

SHAPES = {
    shape.name: shape
    for shape in (
        ModelShape(
            name="deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", hidden=1536, layers=28, heads=12, kv_heads=2,
            head_dim=128, intermediate=8960, vocabulary=151936, max_model_len=131072,
        ),
        ModelShape(name="deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", max_model_len=131072, **_QWEN_7B),
        ModelShape(name="nvidia/AceMath-7B-Instruct", max_model_len=4096, **_QWEN_7B),
        ModelShape(name="deepseek-ai/DeepSeek-R1-Distill-Llama-8B", max_model_len=131072, **_LLAMA_8B),
        ModelShape(name="meta-llama/Meta-Llama-3-8B-Instruct", max_model_len=8192, **_LLAMA_8B),
        ModelShape(name="meta-llama/Llama-3.1-8B", max_model_len=131072, **_LLAMA_8B),
        ModelShape(
            name="google/gemma-2-9b-it", hidden=3584, layers=42, heads=16, kv_heads=8, head_dim=256,
            intermediate=14336, vocabulary=256000, max_model_len=8192, tied_embeddings=True,
        ),
        ModelShape(
            name="deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", hidden=5120, layers=48, heads=40, kv_heads=8,
            head_dim=128, intermediate=13824, vocabulary=152064, max_model_len=131072,
        ),
        ModelShape(
            name="microsoft/phi-4", hidden=5120, layers=40, heads=40, kv_heads=10, head_dim=128,
            intermediate=17920, vocabulary=100352, max_model_len=16384,
        ),
        ModelShape(name="deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", max_model_len=131072, **_QWEN_32B),
        ModelShape(name="deepseek-ai/DeepSeek-R1-Distill-Llama-70B", max_model_len=131072, **_LLAMA_70B),
        ModelShape(name="meta-llama/Meta-Llama-3-70B-Instruct", max_model_len=8192, **_LLAMA_70B),
        ModelShape(
            name="neuralmagic/Llama-3.1-Nemotron-70B-Instruct-HF-FP8-dynamic", max_model_len=131072,
            bytes_per_weight=1, **_LLAMA_70B,
        ),
        ModelShape(
            name="Qwen/Qwen3-32B", hidden=5120, layers=64, heads=64, kv_heads=8, head_dim=128, intermediate=25600,
            vocabulary=151936, max_model_len=40960,
        ),
        ModelShape(name="Qwen/QwQ-32B-Preview", max_model_len=32768, **_QWEN_32B),
    )
}  # fmt: skip
