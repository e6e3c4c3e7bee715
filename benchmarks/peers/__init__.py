"""The same tasks with other tools: which there are, in which order they run, and their rows."""
