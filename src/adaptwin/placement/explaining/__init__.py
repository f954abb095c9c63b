"""What `explain` asks: what a server could still take, and which changes would save a GPU."""
