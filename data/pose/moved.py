"""How far a point of a heat map has to move to count as moved."""

MOVED_PX = 5.0
"""A point that moved by more is counted, and counts no more than this in a robust mean."""
