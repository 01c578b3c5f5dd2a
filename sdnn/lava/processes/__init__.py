"""The spec as lava processes that a user connects to his own.

lava finds the model of a process in the package of the process, so nothing else stands here.
"""
