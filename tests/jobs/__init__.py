"""Jobs by the calendar, on both databases."""
