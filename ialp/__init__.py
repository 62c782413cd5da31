"""ialp: recommendation policies that start good and get better."""

__version__ = "0.1.0"
