"""Where a report goes."""
