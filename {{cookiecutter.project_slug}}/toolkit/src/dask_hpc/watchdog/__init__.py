"""Cancel the jobs of a cluster whose process has died."""
