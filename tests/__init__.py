"""Tests mirror the floors of the house; `whole/` checks promises about everything at once."""
