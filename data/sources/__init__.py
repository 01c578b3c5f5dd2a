"""Frame sources: what a network is shown, whatever file or object it comes from."""
