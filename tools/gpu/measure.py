"""Measure a real vLLM with LoRA, in process, step by step, and write what `adaptwin fit` reads.

    measure.py check --state S --out O --budget 90     # kernels, then a tiny server with adapters; picks a mode
    measure.py run   --state S --out O --budget 300    # engine after engine, most telling first, until the time is up

Each engine runs in a process of its own (`worker`). Everything measured is appended to S/events.jsonl as it comes, one
JSON object a line, and to O/events.jsonl; what is there already is not measured again. `assemble.py` makes the folders.
"""

import argparse
import os
import signal
import sys
import traceback
from pathlib import Path

from campaign import PLAN, Campaign, Choices
from check import check
from engine_spec import EngineSpec
from options import Options

STAGES = ("worker", "smoke", "kernels")  # each in a process of its own, which check or run starts


def main() -> int:
    """Run what the command line asks for; returns the exit code."""
    words = _parser().parse_args()
    options = Options(words.state.resolve(), words.out.resolve(), words.cpu, words.rehearse, words.tiny)
    if words.what in STAGES:
        _leave(_stage(words, options))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the stages on the way
    if words.what == "check":
        return check(options, words.budget)
    choices = Choices(words.plan, words.budget, words.pace, words.all_graphs, not words.no_runs, words.only)
    return Campaign(options, choices).run()


def _stage(words: argparse.Namespace, options: Options) -> int:
    try:
        if words.what == "kernels":
            from vllm_kernels import try_kernels

            return try_kernels(options)
        spec = EngineSpec.parse(words.engine)
        if words.what == "smoke":
            from smoke import smoke

            return smoke(spec, options)
        from worker import Work, work

        return work(Work(words.model, spec, words.wait, words.started, not words.no_runs, words.only), options)
    except SystemExit as error:
        print(error)
    except BaseException:
        traceback.print_exc()
    return 1


def _leave(code: int) -> None:
    """End at once: a clean end takes seconds, and after an error of the GPU it may never come."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("check", "run", *STAGES))
    parser.add_argument("--state", type=Path, required=True, help="survives between calls: events, caches, adapters")
    parser.add_argument("--out", type=Path, required=True, help="results, as they come")
    parser.add_argument("--budget", type=float, default=Choices().budget, help="seconds")
    parser.add_argument("--plan", default=PLAN, help="MODEL:ENGINE ..., most telling first")
    parser.add_argument("--pace", type=float, default=1.0, help="factor on the time that each engine gets")
    parser.add_argument("--all-graphs", action="store_true", help="let every engine capture all CUDA graphs")
    parser.add_argument("--no-runs", action="store_true", help="steps only")
    parser.add_argument("--only", type=int, default=0, help="this many steps of each engine; 0: all")
    parser.add_argument("--tiny", action="store_true", help="take little memory, play short runs")
    parser.add_argument("--cpu", action="store_true", help="vLLM's CPU build: to test the scripts")
    parser.add_argument("--rehearse", action="store_true", help="a pretend GPU: to test the scripts")
    parser.add_argument("--model", default="tiny", help="of a worker")
    parser.add_argument("--engine", default="2x16", help="of a worker or smoke test")
    parser.add_argument("--wait", type=Path, help="the file that tells a worker until when it may measure")
    parser.add_argument("--started", type=Path, help="the file by which a worker says that its engine has started")
    return parser


if __name__ == "__main__":
    sys.exit(main())
