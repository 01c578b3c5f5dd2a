"""The synthetic person: skeleton, mesh and motion."""
