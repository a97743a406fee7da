"""A partner that lies, drips, floods and breaks off: each behaviour of the list, and its defence."""
