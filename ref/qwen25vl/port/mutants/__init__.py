"""Known bugs of ports, planted into the reference: what would such a port compute? (section 15)."""
