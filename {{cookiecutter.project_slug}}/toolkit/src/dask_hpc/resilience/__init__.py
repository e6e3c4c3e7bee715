"""Keep a cluster's jobs and workers running: detect failures, explain them, and resubmit jobs."""
