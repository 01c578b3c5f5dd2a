"""DHP19 recordings: cameras, labels, frames, heat maps, and synthetic recordings."""
