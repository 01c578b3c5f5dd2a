"""The spec as a graph of NIR, the Neuromorphic Intermediate Representation, and back."""
