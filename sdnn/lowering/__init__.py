"""Rewriting of a spec so that stock netx can express it."""
