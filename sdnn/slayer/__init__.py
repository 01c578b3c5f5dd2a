"""The spec in lava-dl's slayer."""
