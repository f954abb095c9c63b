"""What no placement can do without: the least work of requests, and the GPUs that it takes."""
