"""The networks that are timed: the SDNN in its backends, the ANN in other libraries."""
