"""A synthetic DHP19: moving bodies, seen by the four cameras, turned into events and frames."""
