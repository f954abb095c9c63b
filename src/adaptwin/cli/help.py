"""Help texts: defaults that typer cannot tell, and examples."""


def default_note(default: object) -> str:
    """Return a default as the help shows it; typer cannot tell defaults that come from a file."""
    return f"[dim]\\[default: {default}][/dim]"


def example_lines(*commands: str) -> str:
    """Return the end of a help text: example commands, one per line."""
    return "[bold]Examples[/bold]\n" + "\n".join(f"  {command}" for command in commands)
