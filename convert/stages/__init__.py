"""The stages of a conversion."""
