"""What the HTML pages of the reports share: words, tables, charts, pictures, template engine."""
