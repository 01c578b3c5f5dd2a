"""The engine's compiled loops, and the memory that they run on.

numba caches what it compiled by the date of the outermost function's own file: after a change in
this folder or in ``instructions``, delete the ``__pycache__`` folders.
"""
