"""Ask the notebook `quality.ipynb` of a server whether a CSV file of deliveries can be booked.

Serve the folder of this file, and run this one beside it:

    restified serve . --no-browser --IdentityProvider.token=secret
    python quality_client.py http://localhost:8888 secret deliveries.csv

It needs nothing but Python, so that the machine that books has none of what the notebook uses. It ends with
exit code 0 when the file can be booked, 1 when it cannot, and 2 when it could not be checked.
"""

from __future__ import annotations

import csv
import json
import pathlib
import sys
import urllib.error
import urllib.request
from typing import Any

USAGE = "usage: python quality_client.py URL TOKEN FILE.csv [NAME=NUMBER of a limit …]"


def findings(url: str, token: str, rows: list[dict[str, str]], limits: dict[str, float]) -> Any:
    """What the notebook finds in the rows: its value, a table, as a list of objects.

    Args:
        url: of the server.
        token: of the server.
        rows: the deliveries.
        limits: other limits than those that stand in the notebook.
    """
    request = urllib.request.Request(  # noqa: S310 - the user gives the URL
        f"{url.rstrip('/')}/restified/quality.ipynb",
        data=json.dumps({"rows": rows, **limits}).encode(),
        headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.load(answer)


def main(url: str, token: str, file: str, *limits: str) -> int:
    """Check the file, print the findings, and return the exit code."""
    try:
        with pathlib.Path(file).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        print(f"{file} was not checked: {error.strerror}", file=sys.stderr)
        return 2
    given = {name: float(value) for name, _, value in (limit.partition("=") for limit in limits)}
    try:
        found = findings(url, token, rows, given)
    except urllib.error.HTTPError as error:  # the body says what is wrong, as JSON
        print(f"{file} was not checked: {error.code} {json.load(error)}", file=sys.stderr)
        return 2
    except urllib.error.URLError as error:
        print(f"{file} was not checked: there is no server at {url}: {error.reason}", file=sys.stderr)
        return 2
    for line in found:
        print(f"{line['level']:8} {line['count']:3} x {line['check']}: {line['deliveries']}")
    errors = sum(line["count"] for line in found if line["level"] == "error")
    advice = "Do not book it." if errors else "It can be booked."
    print(f"{file}: {len(rows)} deliveries, {errors} errors. {advice}")
    return 1 if errors else 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        print(USAGE, file=sys.stderr)
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) > 3 else 2)
