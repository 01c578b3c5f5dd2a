"""Training pictures that are drawn anew from the events of recordings."""
