"""What a placement is for: one file for each objective."""
