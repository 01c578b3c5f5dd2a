"""Scales of layers and channels."""
