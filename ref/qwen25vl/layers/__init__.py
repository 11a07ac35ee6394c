"""The small functions that the vision encoder and the decoder share (section 00)."""
