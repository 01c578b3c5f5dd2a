"""Training of a spec in slayer's arithmetic."""
