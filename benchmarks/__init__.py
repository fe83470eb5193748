"""Ours against the built-in losses, hand-written expressions and the memory floor: ``make bench``."""
