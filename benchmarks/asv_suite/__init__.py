"""The asv suite: operations that a lab and its members wait for."""
