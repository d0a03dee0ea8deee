"""Masks -> numbers with units and intervals."""
