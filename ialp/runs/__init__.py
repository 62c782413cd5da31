"""Run folders: read, locked, fingerprinted, opened."""
