"""The cluster classes and their parts."""
