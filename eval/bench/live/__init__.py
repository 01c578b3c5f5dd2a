"""Plays a recording through ANN and SDNN in real time, for a page or a terminal."""
