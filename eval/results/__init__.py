"""The evaluation's schema and findings."""
