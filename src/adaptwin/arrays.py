"""Arrays: the type of arrays of floats."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
