"""What goes wrong here is told in one line that names the fix."""


class LocalAwsError(Exception):
    """The local AWS cannot start or do what was asked; the message says why and what to do."""
