"""One file for each fault that was found: it failed before the fault was mended."""
