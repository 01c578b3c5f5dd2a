"""The SDNN: its spec and the backends that run it. The only folder that imports lava."""
