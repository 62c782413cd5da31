"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """Bad input. Its text is one clear line that names the file, line or key, and the way out.

    The command line prints it without a traceback and exits with code 2.
    """


def user_error_beneath(error: BaseException) -> UserError | None:
    """The UserError from which an error arose."""
    beneath: BaseException | None = error
    while beneath is not None and not isinstance(beneath, UserError):
        beneath = beneath.__cause__ or beneath.__context__
    return beneath
