"""Every bad input that a person can give, by the door at which it comes in, and what is said about it."""
