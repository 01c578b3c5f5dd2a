"""The synthetic event cameras."""
