"""Options with limits, which are checked when they are made."""
