"""Poses: joints, cameras, heat maps, labels and errors."""
