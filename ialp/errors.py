"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """Bad input. Its text is one clear line that names the file, line or key, and the way out.

    The command line prints it without a traceback and exits with code 2.
    """
