"""What a server settles into, worked out from averages alone, without playing a single request."""
