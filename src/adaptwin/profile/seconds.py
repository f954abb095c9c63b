"""Seconds: the type of a profile's constants that are times."""

from typing import Annotated

from pydantic import Field

# Nearly three hours. No step, load or scrape of a server in use takes so long, so a larger number has another unit.
LONGEST_SECONDS = 1e4

Seconds = Annotated[float, Field(ge=0, le=LONGEST_SECONDS, allow_inf_nan=False)]
