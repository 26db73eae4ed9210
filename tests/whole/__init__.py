"""Promises about the whole house rather than one room of it."""
