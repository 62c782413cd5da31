"""`ialp init`: a folder to work in, wherever the package is installed."""

import shutil
from pathlib import Path

import ialp
from ialp.errors import UserError
from ialp.parser import Parser

ROOMS = ("configs", "callbacks")

OWN_LOG = """\
# Your own log, two files in data/ (see data/README.md), through all stages:
#   ialp fit --config configs/lfm_policyset.yaml --config own_log.yaml
log:
  class_path: ialp.data.readers.AtomicLog
  init_args:
    root: data
    name: mine                              # data/mine.item and data/mine.inter
    attributes: [title, album, artist]      # columns of mine.item whose text the judge reads
    words:                                  # how the prompt names
      scenario: music                       # the platform,
      item: track                           # what is recommended,
      behavior: listening                   # and what users do with it
"""

DATA_README = """\
# Your own log

Two tab-separated UTF-8 files with a header `name:type`, the atomic files of RecBole.

`mine.item`, one line per item: an id and its texts, as many columns as you like.

    item_id:token	title:token_seq	album:token_seq	artist:token_seq
    t1	Blue in Green	Kind of Blue	Miles Davis
    t2	Naima	Giant Steps	John Coltrane

`mine.inter`, one line per interaction; a user's lines, sorted by timestamp, are one sequence of two items or more.

    user_id:token	item_id:token	timestamp:float
    u1	t1	0
    u1	t2	60

Then name the columns in `../own_log.yaml` and run

    ialp fit --config configs/lfm_policyset.yaml --config own_log.yaml
"""


def run(arguments: list[str]) -> int:
    """Run `ialp init`."""
    parser = Parser(prog="ialp init", description="Lay down configs, a callback to copy and a place for one's own log.")
    parser.add_argument("folder", help="where; made if absent; nothing in it is overwritten")
    init(parser.parse_args(arguments).folder)
    return 0


def init(folder: str) -> None:
    """Lay down configs, a callback to copy and a place for one's own log.

    Args:
        folder: Where; made if absent. Nothing in it is overwritten.

    Raises:
        UserError: Something of that name is there already.
    """
    root = Path(folder)
    taken = [name for name in (*ROOMS, "data/README.md", "own_log.yaml") if (root / name).exists()]
    if taken:
        raise UserError(f"{root} has {', '.join(taken)} already: nothing is overwritten; choose another folder")
    for room in ROOMS:
        shutil.copytree(source(room), root / room, ignore=shutil.ignore_patterns("__pycache__", "__init__.py"))
    (root / "data").mkdir(exist_ok=True)
    (root / "data" / "README.md").write_text(DATA_README, encoding="utf-8")
    (root / "own_log.yaml").write_text(OWN_LOG, encoding="utf-8")
    inside = "" if root.resolve() == Path.cwd() else f"cd {root} && "
    print(f"{root}: configs/, callbacks/, data/README.md, own_log.yaml")
    print(f"next: {inside}ialp fit --config configs/lfm_policyset.yaml")


def source(room: str) -> Path:
    """The files inside an installed package, or beside it in a checkout."""
    package = Path(ialp.__file__).parent
    installed = package / "_project" / room
    return installed if installed.is_dir() else package.parent / room
