"""Links from a notebook to the dashboard."""
