"""The diagnosis as tables and plots."""
