"""What a plan is: values, each with a file form; nothing here searches."""
