"""Reports on the training of surrogates: tables, rules, figures and the page."""
