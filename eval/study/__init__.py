"""The command `results`: the commands that it runs, and the tables of their outputs."""
