"""Passes that rewrite a model before it is read: what exporters write in another way."""
