"""What both apps share. Knows neither of them (docs/architecture.md)."""
