"""Small networks with data of their own, that have nothing to do with poses."""
