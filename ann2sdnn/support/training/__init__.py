"""The training framework: options, state and folder of a run, schedule, and its loop on Fabric."""
