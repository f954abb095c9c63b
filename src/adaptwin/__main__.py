"""The first lines of the program: what comes before everything that takes time to import, so that Ctrl-C is caught."""

import os
import sys


def main() -> None:
    """Run the program; exit code 0 done, 1 wrong input, 2 infeasible, 3 failed verification, 130 interrupted."""
    try:
        from adaptwin.cli.ending import ending_on_signals

        with ending_on_signals():
            from adaptwin.cli.main import run

            code = run(sys.argv[1:])
    except KeyboardInterrupt:
        os.write(2, b"adaptwin: interrupted, nothing written\n")
        os._exit(130)
    sys.exit(code)


if __name__ == "__main__":
    main()
