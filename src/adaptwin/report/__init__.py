"""What people look at: tables, figures and one self-contained page."""
