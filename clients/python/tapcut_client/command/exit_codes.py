"""What the command answers to the shell, and in which words it gives up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from tapcut_client.command.prompts import PromptError
from tapcut_client.command.say import say
from tapcut_client.command.work import WorkError
from tapcut_client.errors import BadAddress, ConnectionFailed, TapcutError, Unauthorized

FAILED, WRONG, UNREACHABLE, REFUSED, INTERRUPTED = 1, 2, 3, 4, 130
CODES: dict[type[BaseException], int] = {
    PromptError: WRONG,
    WorkError: WRONG,
    BadAddress: WRONG,
    ConnectionFailed: UNREACHABLE,
    Unauthorized: REFUSED,
    TapcutError: FAILED,
    OSError: FAILED,
}
EXPLAINED = (
    "Exit codes: 0 all done, 1 something failed, 2 the command is wrong, 3 the service is not reached, "
    "4 it refuses the key, 130 interrupted."
)


@contextmanager
def exit_codes(url: str) -> Iterator[None]:
    """Turns errors into a sentence and an exit code. `url`: the service, for the sentence."""
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted; what is done is kept, the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None
    except (PromptError, WorkError, TapcutError, OSError, BaseExceptionGroup) as error:
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        for kind, code in CODES.items():
            if isinstance(cause, kind):
                say(f"tapcut: {_sentence(cause, url)}")
                raise typer.Exit(code) from error
        raise


def _sentence(cause: BaseException, url: str) -> str:
    if isinstance(cause, ConnectionFailed):
        said = cause.__cause__ or cause
        return (
            f"no service at {url} ({said}): start one there (`tapcut serve`, or `make serve` in a "
            "checkout), or name another by --url or TAPCUT_URL"
        )
    if isinstance(cause, Unauthorized):
        return f"{cause.detail}: give its key by --api-key or TAPCUT_API_KEY"
    if isinstance(cause, OSError) and cause.filename and cause.strerror:
        return f"{cause.filename}: {cause.strerror}"
    return str(cause)
