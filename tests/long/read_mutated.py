"""A process that reads mutated files one after the other, and prints what became of each.

``read_mutated.py write VALID`` writes a valid file of each kind, and reads it. ``read_mutated.py read VALID FOLDER
FIRST LAST`` reads mutations of them; it prints a line of JSON before and after each: number, kind, and result.
"""

import json
import random
import resource
import shutil
import signal
import sys
import traceback
from pathlib import Path

from kinds_of_files import KINDS, write_all
from mutations import mutated, mutated_parquet

from adaptwin import AdaptwinError

SEED = 14
MOST_SECONDS = 20  # for one file
MOST_KIB = 1 << 20  # of memory that the process has used at most
LONGEST_MESSAGE = 10_500


def main() -> None:
    """Write or read, as the arguments say."""
    action, valid = sys.argv[1], Path(sys.argv[2])
    if action == "write":
        write_all(valid)
        for kind in KINDS.values():
            kind.read(valid / kind.name)
        return
    folder, first, last = Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
    shutil.copytree(valid, folder)
    signal.signal(signal.SIGALRM, _too_slow)
    kinds = list(KINDS)
    for number in range(first, last):
        kind = kinds[number % len(kinds)]
        print(json.dumps([number, kind, None]), flush=True)
        print(json.dumps([number, kind, _result_of(kind, number, valid, folder)]), flush=True)


def _result_of(kind: str, number: int, valid: Path, folder: Path) -> str:
    """Read a mutated file; return "read" or "refused", or what went wrong."""
    name, read, is_parquet = KINDS[kind]
    change = mutated_parquet if is_parquet else mutated
    content = change((valid / name).read_bytes(), random.Random(f"{SEED} {kind} {number}"))
    (folder / name).write_bytes(content)
    signal.alarm(MOST_SECONDS)
    try:
        read(folder / name)
        result = "read"
    except AdaptwinError as error:
        result = _refused(str(error), folder)
    except BaseException:
        result = traceback.format_exc()
    signal.alarm(0)
    shutil.copyfile(valid / name, folder / name)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return result if used <= MOST_KIB else f"{used >> 10} MiB of memory"


def _refused(message: str, folder: Path) -> str:
    if str(folder) not in message:
        return f"names no file: {message}"
    return "refused" if len(message) <= LONGEST_MESSAGE else f"long message: {message}"


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"more than {MOST_SECONDS} s")


if __name__ == "__main__":
    main()
