"""`lowmem map`: `run`, of the job that three words describe."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from lowmem.base.errors import UsageError
from lowmem.base.workspace import Workspace, path_from_text
from lowmem.mapping.naming import PREFIX, out_from_text

# Of `run`, what the three words stand in for.
_REPLACED = "job"
_SHOWN = "map:result.zarr"

Function = Annotated[
    str | None, typer.Argument(metavar="FUNCTION", help="MODULE:NAME or FILE.py:NAME.")
]
SourceArgument = Annotated[
    str | None, typer.Argument(metavar="SOURCE", help="A Zarr array or a .npy file.")
]
Out = Annotated[
    str | None,
    typer.Argument(
        metavar="OUT", help="The store to make in the workspace: NAME.zarr."
    ),
]


def map_command_of(run_command: Callable[..., None]) -> Callable[..., None]:
    """Return the command that maps, which takes all that ``run`` takes.

    Parameters
    ----------
    run_command
        The command ``run``: it gets the job as ``map:OUT``, and the rest as its options.
    """

    def map_command(
        context: typer.Context,
        function: str | None = None,
        source: str | None = None,
        out: str | None = None,
        **shared: object,
    ) -> None:
        """Map a function of a block of rows over an array, into a store."""
        if shared["show_help"]:
            run_command(context, job=_SHOWN, **shared)
            return
        if function is None or source is None or out is None:
            raise UsageError(
                "a word is missing, expected three: lowmem map FUNCTION SOURCE OUT. "
                "`lowmem map --help` explains them."
            )
        name = _inside(out, str(shared["workspace"]))
        # A slip is told in these words, not in those of a job.
        out_from_text(name)
        context.args = [
            f"--function={function}",
            f"--source={source}",
            *context.args,
        ]
        run_command(context, job=PREFIX + name, **shared)

    # typer reads a command's options from its signature.
    of_run = inspect.signature(run_command, eval_str=True).parameters
    own = {"function": Function, "source": SourceArgument, "out": Out}
    words = [
        inspect.Parameter(
            name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=None,
            annotation=annotation,
        )
        for name, annotation in own.items()
    ]
    context, *options = (p for name, p in of_run.items() if name != _REPLACED)
    signature = inspect.Signature([context, *words, *options])
    map_command.__signature__ = signature  # type: ignore[attr-defined]
    map_command.__annotations__ = {
        name: parameter.annotation for name, parameter in signature.parameters.items()
    }
    return map_command


def _inside(out: str, workspace: str) -> str:
    """Return the name of a store within the workspace, also of one given by its path."""
    place, root = path_from_text(out), Workspace.at(workspace).root
    return str(place.relative_to(root)) if place.is_relative_to(root) else out
