"""The drift of lava's stock neuron."""
