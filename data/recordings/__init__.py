"""Recordings: frame and label files, their split into subjects, and runs of frames."""
