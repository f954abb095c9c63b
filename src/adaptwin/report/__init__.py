"""Reports for users: tables for the terminal, figures, and self-contained HTML pages."""
