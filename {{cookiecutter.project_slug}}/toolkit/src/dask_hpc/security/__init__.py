"""Encryption of a cluster's connections: its credentials, and where its owner finds them."""
