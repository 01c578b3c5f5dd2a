"""Lays out an engine's memory for a spec: tables, weights in the order of kernels, states."""
