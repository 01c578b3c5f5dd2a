"""The conversion report's schema."""
