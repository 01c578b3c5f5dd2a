"""Rules that choose the thresholds."""
