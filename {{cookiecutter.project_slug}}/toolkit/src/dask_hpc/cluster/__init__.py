"""The cluster classes and what they are made of."""
