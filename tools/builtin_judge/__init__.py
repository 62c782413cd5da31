"""Makes the built-in judge: `python -m tools.builtin_judge.train --work FOLDER`."""
