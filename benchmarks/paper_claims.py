"""What arXiv 2602.24044 reports: its abstract, and figures that its authors publish in logs and tables beside it.

*Logs* are those in which the authors print the scores of their models on the rows of real runs. Figures that can be
computed from published predictions run by run are computed, and do not stand here.
"""

from typing import NamedTuple

PAPER = "arXiv 2602.24044"
TWIN_ERROR = 5.0  # % of throughput, half-SMAPE: abstract, "below 5 %"
TIMES_FASTER = 90  # than benchmarking the real server: abstract, "up to 90 times"
ROWS = {"llama-3.1-8b-instruct": 133, "qwen-2.5-7b-instruct": 164}  # real runs in the authors' tests of their models
TRAINING_ROWS = {"llama-3.1-8b-instruct": 44_761, "qwen-2.5-7b-instruct": 59_160}  # runs of their twin
TRAINING_HOURS = {"llama-3.1-8b-instruct": 425.0, "qwen-2.5-7b-instruct": 630.0}  # of one core, see TRAINING_NOTE
GPUS_SAVED = 60  # % fewer than its baselines on average: abstract of the second version
MOST_GPUS = 4  # in its placement experiments


class PaperScore(NamedTuple):
    """Scores of one of the paper's models on the rows of real runs: errors in %, half-SMAPE; None: not reported."""

    model: str
    r2: float
    throughput: float
    throughput_ms: float | None  # per row, the time of one call for all rows divided by their number
    itl: float
    ttft: float | None
    accuracy: float
    f1: float


PREDICTORS = {
    "llama-3.1-8b-instruct": (
        PaperScore("random forest", 0.952, 4.39, 0.247, 10.99, 19.08, 0.9549, 0.9548),
        PaperScore("nearest neighbour", 0.955, 4.52, 0.210, 9.74, 19.84, 0.9549, 0.9548),
        PaperScore("support vectors", 0.828, 6.84, 1.70, 11.00, 52.57, 0.9774, 0.9774),
        PaperScore("small tree", 0.846, 10.25, 0.0036, 18.16, None, 0.9248, 0.9248),
    ),
    "qwen-2.5-7b-instruct": (
        PaperScore("random forest", 0.933, 5.28, 0.210, 8.96, 18.30, 0.9939, 0.9938),
        PaperScore("nearest neighbour", 0.933, 5.28, 0.153, 8.95, 18.22, 0.9939, 0.9938),
        PaperScore("support vectors", 0.834, 7.46, 2.24, 12.61, 70.30, 0.9268, 0.9257),
        PaperScore("small tree", 0.671, 12.89, 0.0036, 23.97, None, 0.9695, 0.9693),
    ),
}
SMALL_TREE_MS = "0.0025 to 0.0036; compiled 0.00004 to 0.00011"  # per row in a batch, of both models

# Tokens/s, prompts and answers together, of 8,192 ShareGPT requests that all arrive at once: base model (rank 0), or a
# single adapter of a rank. The authors' placement baselines have these constants.
OPERATING_POINTS = {
    "llama-3.1-8b-instruct": {0: 17814.5, 8: 15063.6, 16: 14731.5, 32: 14496.4},
    "qwen-2.5-7b-instruct": {0: 17940.0, 8: 15633.4, 16: 15537.1, 32: 15536.1},
}
# The most slots with which the authors' placement starts a server, by its highest rank.
MOST_SLOTS = {
    "llama-3.1-8b-instruct": {8: 384, 16: 224, 32: 96},
    "qwen-2.5-7b-instruct": {8: 384, 16: 384, 32: 224},
}
