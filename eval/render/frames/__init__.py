"""Frames as pictures: examples, and a recording that moves."""
