"""List pages: view, filters, table, paginator, CSV export."""
