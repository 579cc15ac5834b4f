"""What a user is told when a step can't be done."""


class Refused(Exception):
    """The step is out of order, or its input is wrong: nothing was changed. The text says why, and the way out."""


class ClaimLost(Exception):
    """Another upload took the batch over, so this one stopped sending."""
