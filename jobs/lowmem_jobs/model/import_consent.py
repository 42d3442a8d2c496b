"""Whether a function that a workspace names may be imported: the user's word for it.

``training.json`` names the function that builds a model again, and ``lowmem.toml`` may
name one for ``train``. A workspace may have come from somebody else, and so may all that
lies beside it. So neither a name in it nor a file that is there is reason enough to run
code. Who types ``train --model MODULE:FUNCTION`` has said that it may run; ``--code`` says
it where the workspace names one, and only the command line can. What the journal says of
``--model`` is the workspace's, whoever typed it.

A word is kept in the user's own state folder (``~/.local/state/lowmem/code``), which no
workspace reaches, once a job begins. It holds for the name and the bytes of the module's
file: other bytes need another word, as `direnv` has it. For a file in or below the folder
that commands are typed in it holds in that folder; for one that is installed, anywhere.

Covers the file of the module. Does not cover what that file imports.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from lowmem import Option
from lowmem.base import (
    DataError,
    OptionValueError,
    StorageError,
    make_folder,
    write_file,
)
from lowmem_jobs.model.model_source import (
    ACCOUNT,
    find_source,
    function_named,
    source_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem import PlanContext

CODE = Option(
    name="code",
    kind="str",
    help="MODULE:FUNCTION that the workspace names: your word that it may run.",
    is_recipe=False,
)
_IN_HOME = "~/.local/state"


def words_folder(environment: Mapping[str, str]) -> Path | None:
    """Return where this user's words are kept; None where they have no home.

    Examples
    --------
    >>> words_folder({"XDG_STATE_HOME": "/state"})
    PosixPath('/state/lowmem/code')
    """
    given = Path(environment.get("XDG_STATE_HOME", ""))
    try:
        # By the rule of the variable, a relative path is as good as none.
        base = given if given.is_absolute() else Path(_IN_HOME).expanduser()
    except RuntimeError:
        return None
    return base / "lowmem" / "code"


def _word(reference: str, source: Path) -> dict[str, str]:
    here, file = Path.cwd(), source.absolute()
    # The same name means another file elsewhere; not of one that is installed.
    folder = {"folder": str(here)} if file.is_relative_to(here) else {}
    return {
        **folder,
        "function": reference,
        "file": str(file),
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }


def _file_of(word: Mapping[str, str]) -> Path | None:
    folder = words_folder(os.environ)
    if folder is None:
        return None
    text = json.dumps(word, sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


def is_kept(reference: str, source: Path) -> bool:
    """Return whether this user has said that a function may run, as its file is now."""
    file = _file_of(_word(reference, source))
    if file is None:
        return False
    try:
        # Of a state folder that others write to, their words are not this user's.
        return file.lstat().st_uid == os.geteuid()
    except OSError:
        return False


def keep(reference: str, source: Path) -> None:
    """Keep the word for a function that was typed; where nothing can be kept, do without."""
    word = _word(reference, source)
    file = _file_of(word)
    if file is None or is_kept(reference, source):
        return
    with suppress(StorageError, OSError):
        make_folder(file.parent)
        write_file(file, json.dumps(word, indent=2).encode() + b"\n")


def advice_if_unkept(reference: str) -> str | None:
    """Return what to say where a function's word is not kept; None where it is.

    Cost: reads the module's file, to hash it.
    """
    if is_kept(reference, find_source(reference)):
        return None
    place = words_folder(os.environ) or f"{_IN_HOME}, since there is no home"
    return (
        f"your word for {reference} could not be kept in {place}: later jobs need "
        f"--code {quote(reference)}"
    )


def refuse_unless_given(
    reference: str,
    source: Path,
    *,
    typed: str | None,
    named_by: Path | str,
    how: str = "code",
    again: str = "",
) -> None:
    """Refuse to import what a workspace names without the user's word.

    Parameters
    ----------
    source
        The file of the function's module.
    typed
        What the user gives their word for on this command line, if anything.
    named_by
        The file that names the function, or what else does.
    how
        The option that would give it.
    again
        The command that would give it.

    Raises
    ------
    DataError
        Naming the file to read, and what to type.
    """
    if typed == reference or is_kept(reference, source):
        return
    given = f"--{how} {quote(reference)}"
    raise DataError(
        thing=named_by,
        problem=f"names {reference}, code in {source} for which this user has not given "
        "their word in this folder, as that file is now",
        expected="code of your own, or that you know: a workspace may come from anybody",
        todo=f"Read the file; if it may run, give {given}: {again}"
        if again
        else f"Read the file; if it may run, give {given}.",
    )


def check_model_code(ctx: PlanContext, job: str, model_file: Path) -> None:
    """Refuse to open a published model by code without the user's word.

    Raises
    ------
    DataError
        If it names a function that they have not given it for, or that is not there.
    OptionValueError
        If lowmem.toml gives the word.
    """
    _refuse_configured_word(ctx, job)
    reference = function_named(model_file)
    if reference is not None:
        source = source_of(reference, model_file)
        _settle(ctx, job, reference, source, model_file.with_name(ACCOUNT))


def check_named_code(
    ctx: PlanContext, job: str, option: str, reference: str, source: Path
) -> None:
    """Take an option that names a function, typed, for the user's word.

    Parameters
    ----------
    option
        Its name, such as ``model``.
    reference, source
        Its value, and the file of the function.

    Raises
    ------
    DataError
        If lowmem.toml or the journal names a function that the user has not given their
        word for.
    OptionValueError
        If lowmem.toml gives the word.
    """
    _refuse_configured_word(ctx, job)
    if option in ctx.typed:
        _keep_if_begun(ctx, reference, source)
    elif _configured(ctx, job).get(option) == reference:
        _settle(ctx, job, reference, source, ctx.workspace.config)
    else:
        refuse_unless_given(
            reference,
            source,
            typed=None,
            named_by="the journal",
            how=option,
            again=f"lowmem run {job} --{option} {quote(reference)}",
        )


def _settle(
    ctx: PlanContext, job: str, reference: str, source: Path, named_by: Path
) -> None:
    typed = ctx.options[CODE.name]
    root = quote(str(ctx.workspace.root))
    again = f"lowmem run {job} --code {quote(reference)} --workspace {root}"
    refuse_unless_given(reference, source, typed=typed, named_by=named_by, again=again)
    _keep_if_begun(ctx, reference, source)


def _keep_if_begun(ctx: PlanContext, reference: str, source: Path) -> None:
    if not ctx.is_dry:
        keep(reference, source)


def _refuse_configured_word(ctx: PlanContext, job: str) -> None:
    """Refuse a word that is the workspace's own."""
    given = _configured(ctx, job).get(CODE.name)
    if given is not None:
        raise OptionValueError(
            option=f"code of [{job}] in lowmem.toml",
            value=given,
            expected="none: --code is given on the command line alone",
        )


def _configured(ctx: PlanContext, job: str) -> Mapping[str, Any]:
    if not ctx.workspace.config.exists():
        return {}
    # The command has read it, and refused what is no TOML.
    table: Mapping[str, Any] = tomllib.loads(
        ctx.workspace.config.read_text(encoding="utf-8")
    ).get(job, {})
    return {key.replace("-", "_"): value for key, value in table.items()}
