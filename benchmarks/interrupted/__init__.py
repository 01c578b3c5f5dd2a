"""What `interruption.py` consists of: commands, ways to start them, what they leave behind."""
