"""Reports on a training: tables, rules, figures and the page."""
