"""The lab's own functions.

What is in this package can be imported in notebooks, in scripts and on every worker, because the
project is installed in the environment that they all share.
"""
