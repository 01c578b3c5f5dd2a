"""Accuracy, sparsity and cost of the ANN and the SDNN, side by side."""
