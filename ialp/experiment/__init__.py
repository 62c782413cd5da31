"""Runs and what they are built on: stages, fingerprints, run folders."""
