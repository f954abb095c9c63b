"""NotModelledError: the error that a file is of a server that the twin does not describe."""

from adaptwin.errors import SpecError


class NotModelledError(SpecError):
    """A server that is not modelled. Other files of the same server are of no use either, even if they can be read."""
