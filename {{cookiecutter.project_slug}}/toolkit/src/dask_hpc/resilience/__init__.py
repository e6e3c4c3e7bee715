"""What happens to jobs and workers over time."""
