"""Judges, and what they have in common."""
