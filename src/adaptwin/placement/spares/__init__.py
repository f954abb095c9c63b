"""What a plan holds ready for servers that fail."""
