"""Measurements on the float network: statistics, sensitivities, importance."""
