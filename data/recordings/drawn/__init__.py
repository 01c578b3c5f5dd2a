"""Training pictures that are drawn from the events of recordings, with changes."""
