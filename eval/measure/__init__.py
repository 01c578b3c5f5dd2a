"""Measurements of ANN and SDNN on the same frames."""
