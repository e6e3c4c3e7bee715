"""Run a function for many inputs, and save the results: see `api`."""
