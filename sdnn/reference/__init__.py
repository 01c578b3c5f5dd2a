"""The integer reference: the delta unit, the 24-bit wrap and the counts in int64."""
