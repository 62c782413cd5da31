"""An argument parser that raises UserError."""

from argparse import ArgumentParser
from typing import NoReturn

from typing_extensions import override

from ialp.errors import UserError


class Parser(ArgumentParser):
    """An ArgumentParser that raises UserError instead of printing and exiting."""

    @override
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")
