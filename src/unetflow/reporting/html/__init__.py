"""Parts that the HTML reports share: wording, tables, charts, findings and templates."""
