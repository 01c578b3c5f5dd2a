"""Distillation: integer weights learn to answer as the float network does."""
