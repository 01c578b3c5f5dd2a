"""Finds out why a network does not learn, from its first optimisation steps.

A *subject* is a network as a row of stages that can be watched (``subjects/``). ``diagnose`` trains
it for a few steps and measures every stage before (``probes``) and during each step (``steps``;
``parts`` for batches that do not fit in memory). ``findings`` holds the rules that turn these
measurements into sentences, ``report`` the file diagnosis.json.
"""
