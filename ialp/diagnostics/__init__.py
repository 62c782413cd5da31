"""Descriptions of simulated users and judges."""
