"""What one server bears: questions answered by the surrogate where it is sure, else by the twin."""
