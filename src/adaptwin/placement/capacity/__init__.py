"""What one server can serve: answered by the surrogate where it is confident, else by the twin."""
