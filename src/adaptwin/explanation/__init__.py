"""Understanding a plan: what limits each GPU, its spare capacity, and which changes would save a GPU."""
