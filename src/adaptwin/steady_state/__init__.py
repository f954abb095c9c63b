"""The state that a server settles into, computed from averages alone, without simulating a single request."""
