"""Film work: what comes in, what comes out, and what the child process may do."""
