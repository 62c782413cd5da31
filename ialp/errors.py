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


def require_positive(**settings: int) -> None:
    """Refuse a setting of the data below 1, by its name."""
    for name, value in settings.items():
        if value < 1:
            raise UserError(f"data.{name} is {value}: it must be at least 1")
