"""Tables, queries and the audit log, on both databases."""
