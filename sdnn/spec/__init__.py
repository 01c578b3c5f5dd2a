"""The spec: a converted network in integers, and its file."""
