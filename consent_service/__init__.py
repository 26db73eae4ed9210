"""Consent and data governance for film of parents and babies."""

__version__ = "0.1.0"
