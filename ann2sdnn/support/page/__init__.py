"""Plots and HTML pages without external resources."""
