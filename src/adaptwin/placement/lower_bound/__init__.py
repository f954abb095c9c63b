"""Lower bounds: the least work of requests, and the GPUs that no placement can do without."""
