"""Worker processes, signals that end a process, and how threads wait for each other."""
