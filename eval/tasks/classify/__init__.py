"""The classify task: the largest output against the label's class."""
