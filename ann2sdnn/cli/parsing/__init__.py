"""Options dataclasses as options of a command, and the nearest of what could have been meant."""
