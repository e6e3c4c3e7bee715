"""The packages of an environment: which are installed, and the lab's lock of them."""
