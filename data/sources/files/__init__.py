"""Frame sources of files: arrays, HDF5, pictures and video."""
