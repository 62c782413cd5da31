"""An argument parser whose errors are UserErrors."""

from argparse import ArgumentParser
from typing import NoReturn

from ialp.errors import UserError


class Parser(ArgumentParser):
    """Complains as the rest of the project does."""

    def error(self, message: str) -> NoReturn:
        """One line."""
        raise UserError(f"{message}; see {self.prog} --help")
