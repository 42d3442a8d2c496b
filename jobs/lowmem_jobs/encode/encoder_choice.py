"""Which encoder the options name: a Keras file, an ONNX file or a function. Light.

Nothing is imported and nothing loaded here: the planner asks, before the user's word for
their code is known. Formats that only unpickling opens are refused with the way that does
without.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem.base import DataError, OptionValueError, UsageError, path_from_text
from lowmem.mapping import function_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem import Workspace

OPTION = "--encoder"
_ONNX = re.compile(r"(?P<file>.+\.onnx)(?::(?P<output>.+))?")
_RULE = (
    "MODULE:FUNCTION, FILE.py:FUNCTION, FILE.keras, FILE.onnx, or FILE.onnx:OUTPUT of a "
    "model with several outputs"
)
_BY_FUNCTION = (
    "a function that builds the model in code and loads its weights without unpickling "
    "(safetensors, or torch.load(..., weights_only=True)): --encoder FILE.py:FUNCTION "
    "--weights FILE"
)
# What they hold is unpickled, or is code, or is no model without the code of one.
_REFUSED = {
    ".pt": "TorchScript, torch.export and state dictionaries",
    ".pth": "PyTorch's own files",
    ".pt2": "what torch.export writes",
    ".ts": "TorchScript",
    ".ckpt": "training checkpoints",
    ".bin": "PyTorch's own files",
    ".pkl": "pickles",
    ".pickle": "pickles",
    ".joblib": "pickles",
    ".safetensors": "weights without the model that they belong to",
}


class EncoderKind(Enum):
    """What an encoder is made of."""

    KERAS = auto()
    ONNX = auto()
    FUNCTION = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderChoice:
    """An encoder, and the file whose bytes say what it does.

    Attributes
    ----------
    text
        As the user named it.
    file
        The model, or the source of the function.
    output
        Name of the one output of an ONNX model that is taken, if it was given.
    weights
        What the function is to load, if it was given.
    """

    kind: EncoderKind
    text: str
    file: Path
    output: str | None = None
    weights: Path | None = None


def encoder_choice(options: Mapping[str, Any], space: Workspace) -> EncoderChoice:
    """Return the encoder that ``--encoder``, ``--model`` or neither names.

    Raises
    ------
    UsageError
        If it can be none, or options contradict each other.
    DataError
        If a file of weights is missing.
    """
    text, weights = options["encoder"], _weights(options)
    if text is not None and options["model"]:
        raise UsageError(
            f"--encoder {text} and --model {options['model']} are both given, expected "
            "one of them: --model is for a Keras file, --encoder for anything."
        )
    choice = _named(text, space, weights) if text else _keras(options, space)
    if weights is not None and choice.kind is not EncoderKind.FUNCTION:
        raise OptionValueError(
            option="--weights",
            value=str(weights),
            expected="none but beside --encoder with a function, which is given them",
        )
    return choice


def _weights(options: Mapping[str, Any]) -> Path | None:
    if not options["weights"]:
        return None
    path = Path(options["weights"])
    if not path.exists():
        raise DataError(
            thing=path, problem="is missing", expected="what --weights names"
        )
    return path


def _keras(options: Mapping[str, Any], space: Workspace) -> EncoderChoice:
    file = Path(options["model"] or space.model / "encoder.keras")
    return EncoderChoice(kind=EncoderKind.KERAS, text=str(file), file=file)


def _named(text: str, space: Workspace, weights: Path | None) -> EncoderChoice:
    if text.endswith(".keras"):
        file = path_from_text(text)
        return EncoderChoice(kind=EncoderKind.KERAS, text=text, file=file)
    onnx = _ONNX.fullmatch(text)
    if onnx is not None:
        return EncoderChoice(
            kind=EncoderKind.ONNX,
            text=text,
            file=path_from_text(onnx["file"]),
            output=onnx["output"],
        )
    held = _REFUSED.get(Path(text).suffix.lower())
    if held is not None:
        raise OptionValueError(
            option=OPTION,
            value=text,
            expected=f"{_BY_FUNCTION}; or the model as .onnx. Such files hold {held}, "
            "and nothing is unpickled here",
        )
    if ":" not in text:
        raise OptionValueError(option=OPTION, value=text, expected=_RULE)
    return EncoderChoice(
        kind=EncoderKind.FUNCTION,
        text=text,
        file=function_file(text, space, option=OPTION),
        weights=weights,
    )
