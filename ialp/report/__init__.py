"""What is shown of a finished run: the final table and the learning curves."""
