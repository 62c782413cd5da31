"""`ialp init`: a folder to work in, wherever the package is installed."""

import shutil
from pathlib import Path

import ialp
from ialp.errors import UserError
from ialp.parser import Parser

FOLDERS = ("configs", "callbacks")


def run(arguments: list[str]) -> int:
    """Run `ialp init`."""
    parser = Parser(prog="ialp init", description="Copy the configs, and callbacks to learn from, into a folder.")
    parser.add_argument("folder", help="where; made if absent; nothing in it is overwritten")
    root = Path(parser.parse_args(arguments).folder)
    if taken := [name for name in FOLDERS if (root / name).exists()]:
        raise UserError(f"{root} has {', '.join(taken)} already: nothing is overwritten; choose another folder")
    for name in FOLDERS:
        shutil.copytree(source(name), root / name, ignore=shutil.ignore_patterns("__pycache__", "__init__.py"))
    inside = "" if root.resolve() == Path.cwd() else f"cd {root} && "
    print(f"{root}: configs/, callbacks/\nnext: {inside}ialp fit --config configs/lfm_policyset.yaml")
    print("a log of your own: configs/logs/own.yaml")
    return 0


def source(name: str) -> Path:
    """The files inside an installed package, or beside it in a checkout."""
    package = Path(ialp.__file__).parent
    installed = package / "_project" / name
    return installed if installed.is_dir() else package.parent / name
