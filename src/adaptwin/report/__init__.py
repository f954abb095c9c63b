"""Reports for people: tables for the terminal, figures, and self-contained HTML pages."""
