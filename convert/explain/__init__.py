"""The conversion report, built from what the stages return."""
