"""The diagnosis of the first steps of a training in slayer."""
