"""Activation statistics, scales, rounding and thresholds: arithmetic on a graph."""
