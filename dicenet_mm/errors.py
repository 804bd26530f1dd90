"""Errors whose message is all that a person needs."""


class UserError(Exception):
    """Something given by the user is wrong: the message says what, where, and what to do. The tools print it alone."""
