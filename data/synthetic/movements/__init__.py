"""The movements of the synthetic person."""
