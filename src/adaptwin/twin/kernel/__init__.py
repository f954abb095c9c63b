"""The compiled twin: it gives the outcome of the reference, but does work only for what changes in a step."""
