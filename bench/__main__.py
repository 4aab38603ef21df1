"""`python -m bench [NAME] [options]`: prints Markdown. See docs/evidence/benchmarks.md."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from bench import (
    aggregate,
    causes,
    client,
    dashboard,
    fleet,
    fuzz,
    growth,
    held,
    importing,
    ingest,
    intervals,
    kills,
    messengers,
    nodes,
    pages,
    problems,
    releases,
    remembered,
    sampled,
    sides,
    simulate,
    size,
    small,
    soak,
    truth,
)
from bench.report import markdown

BENCHMARKS = {
    "ingest": ingest,
    "small": small,
    "fleet": fleet,
    "import": importing,
    "aggregate": aggregate,
    "growth": growth,
    "size": size,
    "client": client,
    "held": held,
    "kills": kills,
    "messengers": messengers,
    "nodes": nodes,
    "simulate": simulate,
    "intervals": intervals,
    "truth": truth,
    "causes": causes,
    "sides": sides,
    "problems": problems,
    "releases": releases,
    "remembered": remembered,
    "sampled": sampled,
    "dashboard": dashboard,
    "pages": pages,
    "fuzz": fuzz,
    "soak": soak,
}


def main() -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        # No default: a subcommand's default would replace a value given before its name.
        "--json",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="also write all figures to this file as JSON",
    )
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, parents=[common])
    commands = parser.add_subparsers(dest="benchmark", help="default: all, except nodes")
    parsers = {}
    for name, benchmark in BENCHMARKS.items():
        described = (benchmark.__doc__ or "").partition("\n")[0]
        parsers[name] = commands.add_parser(
            name,
            help=described,
            parents=[common],
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        benchmark.add_options(parsers[name])
    options = parser.parse_args()

    results = []
    # `nodes` needs options that name the nodes to kill.
    every = [name for name in BENCHMARKS if name != "nodes"]
    for name in [options.benchmark] if options.benchmark else every:
        own = options if options.benchmark else parsers[name].parse_args([])
        result = BENCHMARKS[name].run(own)
        results.append(result)
        sys.stdout.write(markdown(result) + "\n")
        sys.stdout.flush()
        if "json" in options:
            written = json.dumps([asdict(one) for one in results], indent=2, default=str)
            options.json.write_text(written + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
