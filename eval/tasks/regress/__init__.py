"""The regress task: every output against a value of the labels."""
