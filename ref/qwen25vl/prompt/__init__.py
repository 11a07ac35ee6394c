"""From messages to token ids (section 04)."""
