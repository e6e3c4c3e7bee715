"""The suite of asv: what a lab and its members wait for."""
