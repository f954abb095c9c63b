"""What all pages and tables share: numbers as text, table and figure styles, and the rendering of pages."""
