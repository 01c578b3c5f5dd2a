"""Tasks: how outputs are scored, one module or package per task."""
