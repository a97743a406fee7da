"""stixnode: two centres exchange what they know about cybercrime, under a signed agreement."""

__version__ = "0.1.0"
