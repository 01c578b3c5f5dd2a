"""The output task: every output against the ANN's, without labels."""
