"""Float64 arithmetic whose every bit is the same on any x86-64 processor (section 15)."""
