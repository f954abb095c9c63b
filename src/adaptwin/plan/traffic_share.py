"""TrafficShare: a share of an adapter's requests, above 0; 1 is all of them."""

from typing import Annotated

from pydantic import Field

TrafficShare = Annotated[float, Field(gt=0, le=1)]
