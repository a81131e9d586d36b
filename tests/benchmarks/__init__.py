"""Figures of speed and size, as ratios to a baseline measured in the same run.

    python -m tests.benchmarks.NAME

Each prints a table with medians and spreads, then one line a figure, and exits 1 if any is short.
These are no tests: a shared machine is noisy, so read the spread beside the median.
"""
