"""Estimates of what a network costs on a chip: cores of Loihi 2, and energy."""
