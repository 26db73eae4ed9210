"""Work that the calendar asks for: which jobs there are, when they run, and who runs them."""
