"""Files: atomic writing, checks of output places, HDF5, JSON, saved states."""
