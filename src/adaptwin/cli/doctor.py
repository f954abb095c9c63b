"""adaptwin doctor: whether this installation works, and what to do where it does not."""

from typing import Annotated

import typer

from adaptwin.cli.options import AsJson

SOMETHING_WRONG = 1


def doctor_command(
    skip_self_test: Annotated[
        bool,
        typer.Option("--skip-self-test", help="Only look: run no simulation, and compile nothing."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check this installation: versions, machine, caches, extras, shipped files, environment, and a self-test.

    The self-test compares the compiled twin with its reference, plans a small fleet, and takes a few seconds; the
    first one compiles, which takes about a minute. Each line that is wrong says what to do, and the exit code is then
    1. Keys in the environment are never shown. At the end stands what the twin does not model.
    """
    from adaptwin.cli.printing import show, show_json
    from adaptwin.cli.progress import progress_bar
    from adaptwin.installation.examine import examine

    with progress_bar() as progress:
        examination = examine(tests=not skip_self_test, progress=progress)
    if as_json:
        show_json(examination.as_data())
    else:
        from adaptwin.report.installation import installation_report

        show(installation_report(examination))
    if examination.wrong:
        raise typer.Exit(SOMETHING_WRONG)
