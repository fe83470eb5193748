"""Sums that are not rounded, and quotients that are rounded once."""
