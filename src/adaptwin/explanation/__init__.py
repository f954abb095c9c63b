"""Understanding a plan: why each GPU is full, what it could still take, and what would save one."""
