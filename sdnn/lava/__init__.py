"""The spec in lava-nc's fixed-point simulation of Loihi 2."""
