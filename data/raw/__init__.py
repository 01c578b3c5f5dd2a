"""Preparation of the raw DHP19 data set."""
