"""netx files: reading, writing and checking."""
