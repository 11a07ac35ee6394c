"""The decoding loop (section 11)."""
