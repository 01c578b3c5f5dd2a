"""The typed graph of a float network, and what its layers compute."""
