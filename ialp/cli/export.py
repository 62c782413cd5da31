"""`ialp export`: a finished policy as one file."""

from argparse import RawDescriptionHelpFormatter

from ialp.parser import Parser
from ialp.serving.export import SUFFIXES, export
from ialp.serving.opening import open_finished

DESCRIPTION = """\
Write the policy that a finished run ended with as one file, and check it: it is read back and must give the
run's own probabilities, masks included, to 1e-5.

  inputs   items (B, T) int64, histories right-padded with 0; length (B,) int64, from 1 to T
  output   probabilities (B, I) float32; column 0 is padding; what the run's masks forbid is 0

B is open, T too up to the policy's longest history. Beside FILE lies FILE.json, which says what it
was made of; entry n of its `ids` and `texts` is the catalogue's own id and text of number n of a history."""


def run(arguments: list[str]) -> int:
    """Run `ialp export`."""
    parser = Parser(
        prog="ialp export", description=DESCRIPTION, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--ckpt", required=True, help="folder of a finished pretrain or online run")
    add(
        "--format",
        choices=[*SUFFIXES],
        default="torch_export",
        help='torch_export: .pt2, read by torch.export.load (default); onnx: read by onnxruntime; needs "ialp[onnx]"',
    )
    add("--out", help="FILE, ending in .pt2 or .onnx (default: export/policy.pt2 or .onnx in the run's folder)")
    add("--data_root", help="folder that holds the data (default: as the run says)")
    chosen = parser.parse_args(arguments)
    export(open_finished(chosen.ckpt, chosen.data_root), chosen.format, chosen.out)
    return 0
