"""The speed comparison of backends."""
