"""Export: a plan in the files of a serving stack. `export` writes them; `registry` lists the stacks."""

from adaptwin.export.exported import export as export
