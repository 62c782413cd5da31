"""Finished policies at work: exported as one file, or asked for recommendations."""
