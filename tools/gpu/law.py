"""The law of the pretend GPU, and how far the steps of a rehearsal are from it.

python3 law.py events.jsonl
"""

import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

from events import read

HEADER = f"{'steps':42} count  median   worst"

# seconds: of every step, a token, a token that decodes read, a pair that prompts attend to, a slot, an adapter
BASE, TOKEN, CONTEXT, PAIR, SLOT, ADAPTER = 7e-3, 1.5e-5, 3e-8, 2e-9, 2e-5, 1e-4
LAUNCH = 4e-4  # seconds of the host to launch a step, while the GPU may still be busy with the one before


def lawful_seconds(step: Mapping[str, float]) -> float:
    """What the pretend GPU takes for a step with these contents."""
    return (
        BASE
        + TOKEN * step["tokens"]
        + CONTEXT * step["context"]
        + PAIR * step["prefill_pairs"]
        + SLOT * step["max_loras"]
        + ADAPTER * step["adapters"]
    )


def errors(steps: list[dict]) -> list[float]:
    """Relative errors of measured steps."""
    return [abs(step["seconds"] / lawful_seconds(step) - 1) for step in steps]


def main() -> int:
    """Print a table: the host keeps ahead of the GPU in small batches, so that these are read off best."""
    (path,) = [Path(word) for word in sys.argv[1:]]
    steps = [event for event in read(path) if event["kind"] == "step" and event["async"]]
    parts = {
        "decodes of fewer than 96 requests": [e for e in steps if not e["prefill"] and e["running"] < 96],
        "prompts and mixed, fewer than 96 requests": [e for e in steps if e["prefill"] and e["running"] < 96],
        "96 requests and more": [e for e in steps if e["running"] >= 96],
    }
    print(HEADER)
    for name, rows in parts.items():
        if rows:
            found = errors(rows)
            print(f"{name:42} {len(found):5} {100 * statistics.median(found):6.2f} % {100 * max(found):6.2f} %")
    return 0 if steps else 1


if __name__ == "__main__":
    sys.exit(main())
