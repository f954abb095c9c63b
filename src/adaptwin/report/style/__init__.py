"""What all pages and tables share: words for numbers, tables, plots, the page itself."""
