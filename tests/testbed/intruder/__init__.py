"""Attacks on clusters of alice's by other users of the testbed."""
