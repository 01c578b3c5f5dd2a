"""Says what works on this machine, by running a little of everything."""
