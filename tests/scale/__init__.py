"""A fleet of many: light minions, real to their master, and what they cost it."""
