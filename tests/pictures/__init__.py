"""The pictures in the README, and what makes them: `python -m tests.pictures`."""
