"""Golden values: a run written to disk, every tap of it (section 15)."""
