"""Array: the type of a NumPy array of 64-bit floats."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
