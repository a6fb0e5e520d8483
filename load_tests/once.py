"""`python -m load_tests.once --host URL`: one visit of each persona, at once, and what each felt.

For trying a persona that is being written, and a service before a day is let loose on it. Owns no file but
the records, where a folder is given. Exit code 1 when anything failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import gevent
from locust import User
from locust.env import Environment
from locust.event import Events

from load_tests.day import Persona
from load_tests.personas import OF, BatchImport, Visitor
from load_tests.pictures import screen_photo
from load_tests.records import FELT, Row, RowWriter, row_of


def main(arguments: list[str] | None = None) -> int:
    """Let them visit. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m load_tests.once")
    parser.add_argument("--host", required=True, help="the service, http://host:port")
    parser.add_argument("--records", type=Path, help="folder for requests.csv")
    parser.add_argument("--persona", choices=[one.value for one in Persona], help="this one alone")
    parser.add_argument("--pace", type=float, default=1.0, help="times as long for all that is a human's")
    parser.add_argument(
        "--small", action="store_true", help="two small pictures to import, not eight large ones"
    )
    options = parser.parse_args(arguments)
    Visitor.pace, Visitor.host = options.pace, options.host
    if options.small:
        BatchImport.pictures = 2
        BatchImport.photo = staticmethod(screen_photo)
    rows: list[Row] = []
    events = Events()
    events.request.add_listener(lambda **told: rows.append(row_of(**told)))
    chosen = [OF[Persona(options.persona)]] if options.persona else list(OF.values())
    classes: list[type[User]] = [*chosen]
    environment = Environment(user_classes=classes, events=events)
    gevent.joinall([gevent.spawn(one(environment).come) for one in chosen], raise_error=True)
    if options.records:
        with RowWriter(options.records / "requests.csv") as writer:
            for row in rows:
                writer.write(row)
    for row in rows:
        if row.kind == FELT or row.error:
            print(f"{row.persona:20} {row.name:20} {row.ms / 1000:7.2f} s  {row.error}")
    return 1 if not rows or any(row.error for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
