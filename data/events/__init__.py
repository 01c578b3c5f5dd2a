"""Event streams: reading, filters, windows, frames."""
