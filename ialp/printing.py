"""Tables on the terminal."""

from rich.console import Console
from rich.table import Table


def print_table(table: Table) -> None:
    """Print a table; in a file or a pipe it is 200 columns wide instead of 80."""
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(table)
