"""Section 15 - maps: which of our parts is a tensor of somebody else's dump?"""
