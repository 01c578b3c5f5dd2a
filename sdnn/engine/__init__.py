"""The engine: the spec on the CPU."""
