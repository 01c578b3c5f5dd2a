"""Rounding of weights to the grid."""
