"""Train the autoencoder and write it, its two halves and its history."""

from __future__ import annotations

import csv
import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowmem import Result, ZarrSequence
from lowmem.base import remove, storage_errors
from lowmem.stores import Split, images_to_use, split_rows
from lowmem.training import (
    Plateau,
    RowNoise,
    Training,
    TrainingPlan,
    environment,
    kept_generators,
    keras_session,
    sees_the_batch,
    set_accumulation,
)
from lowmem_jobs.model.autoencoder import build_autoencoder, compile_autoencoder
from lowmem_jobs.model.code import code_account, sample_of
from lowmem_jobs.model.import_consent import advice_if_unkept
from lowmem_jobs.model.model_source import ACCOUNT
from lowmem_jobs.model.parts import cut_at_latent, write_parts
from lowmem_jobs.model.user_model import build_custom_model
from lowmem_jobs.model.variational import build_variational, compile_variational
from lowmem_jobs.train.architecture import (
    REDUCTION,
    VAE,
    architecture_from_options,
    keeps_best,
    kl_weight_of,
)
from lowmem_jobs.train.job import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from pathlib import Path

    import keras

    from lowmem import CommitPoint, Context
    from lowmem.stores import Images
    from lowmem_jobs.model.parts import Parts
    from lowmem_jobs.train.architecture import Architecture

# Options that a model of the user's own leaves without effect: always, and if compiled.
_OF_BUILDING = ("filters", "batch_norm")
_OF_COMPILING = ("learning_rate", "loss")


def work(ctx: Context) -> Generator[CommitPoint, None, Result]:
    """Train, offering a commit after each optimiser step; then publish the models."""
    images = images_to_use(ctx.options, ctx.workspace)
    with keras_session(
        seed=ctx.seed, device=ctx.device, vram_budget_bytes=ctx.vram_budget_bytes
    ):
        trained = build_model(ctx, images.image_shape)
        model, parts = trained.model, trained.parts
        code = _code_of(ctx, model, parts, images.image_shape)
        batch_size = ctx.options["batch_size"]
        micro_batch = ctx.settings.get("micro_batch", batch_size)
        set_accumulation(model, batch_size=batch_size, micro_batch=micro_batch)
        _warn_of_changes(ctx)
        split = split_rows(
            images.store,
            n_rows=images.n_images,
            fraction=ctx.options["validation_split"],
        )
        with closing(_batches(ctx, images, split)) as training:
            validation = training.of_rows(split.validation)
            # The two hold its numbers in half the bytes.
            del split
            plan = TrainingPlan(
                training=training,
                validation=validation,
                epochs=ctx.options["epochs"],
                batch_size=batch_size,
                micro_batch=micro_batch,
                patience=ctx.options["early_stopping"],
                takes_bytes=trained.takes_bytes,
                keeps_best=keeps_best(ctx.options),
                plateau=Plateau(
                    patience=ctx.options["reduce_lr"] or 0,
                    factor=ctx.options["reduce_lr_factor"] or REDUCTION,
                ),
                is_doubtful=bool(ctx.options["model"]),
                noise=trained.noise,
            )
            _note_micro_batch(ctx, model, plan)
            run = Training(model, plan, show=ctx.progress)
            yield from run.run(ctx.state, ctx.arrays)
        folder = ctx.staging / "model"
        write_parts(parts, folder)
        write_history(folder / "history.csv", run.history)
        if code:
            code["sample"] = sample_of(parts)
        write_account(folder / ACCOUNT, ctx.options, code)
        summary = {
            **run.history[-1],
            "best_epoch": run.stopping.best_epoch,
            "n_training": training.n_samples,
            "n_validation": validation.n_samples,
            "n_weights": model.count_params(),
        }
    return Result(publish=["model"], summary=summary)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A compiled model, and what is published of it.

    Attributes
    ----------
    takes_bytes
        Whether its loss takes targets as bytes.
    noise
        What it takes beside images, if anything.
    """

    model: keras.Model
    parts: Parts
    takes_bytes: bool
    noise: RowNoise | None = None


def build_model(ctx: Context, image_shape: tuple[int, ...]) -> Trained:
    """Return the model that the options name, compiled.

    Raises
    ------
    ModelError
        If it cannot be cut at its latent vector: before training, while nothing is lost.
    """
    architecture = architecture_from_options(ctx.options, image_shape)
    if ctx.options["model"]:
        return _users_model(ctx, architecture, image_shape)
    if architecture.is_variational:
        return _variational(ctx, architecture, image_shape)
    model = build_autoencoder(
        input_shape=image_shape,
        latent_dim=architecture.latent_dim,
        filters=architecture.filters,
        batch_norm=architecture.batch_norm,
    )
    _compile(ctx, model)
    return Trained(model=model, parts=cut_at_latent(model), takes_bytes=True)


def _users_model(
    ctx: Context, architecture: Architecture, image_shape: tuple[int, ...]
) -> Trained:
    reference = ctx.options["model"]
    advice = advice_if_unkept(reference)
    if advice is not None:
        ctx.note(advice)
    model = build_custom_model(
        reference, input_shape=image_shape, latent_dim=architecture.latent_dim
    )
    is_compiled = model.compiled
    _warn_of_ignored(ctx, is_compiled=is_compiled)
    if not is_compiled:
        _compile(ctx, model)
    return Trained(model=model, parts=cut_at_latent(model), takes_bytes=not is_compiled)


def _variational(
    ctx: Context, architecture: Architecture, image_shape: tuple[int, ...]
) -> Trained:
    built = build_variational(
        input_shape=image_shape,
        latent_dim=architecture.latent_dim,
        filters=architecture.filters,
        batch_norm=architecture.batch_norm,
    )
    compile_variational(
        built.model,
        loss=ctx.options["loss"],
        kl_weight=kl_weight_of(ctx.options),
        learning_rate=ctx.options["learning_rate"],
    )
    return Trained(
        model=built.model,
        parts=built.parts,
        takes_bytes=True,
        noise=RowNoise(seed=ctx.seed, size=architecture.latent_dim),
    )


def _compile(ctx: Context, model: keras.Model) -> None:
    compile_autoencoder(
        model, loss=ctx.options["loss"], learning_rate=ctx.options["learning_rate"]
    )


def _code_of(
    ctx: Context, model: keras.Model, parts: Parts, image_shape: tuple[int, ...]
) -> dict[str, Any] | None:
    """Return what opens a model that holds the user's own code; refuse what cannot be."""
    if not ctx.options["model"]:
        return None
    folder = ctx.staging / "tried"
    try:
        with kept_generators(model):
            return code_account(
                parts,
                folder,
                reference=ctx.options["model"],
                input_shape=image_shape,
                latent_dim=architecture_from_options(
                    ctx.options, image_shape
                ).latent_dim,
            )
    finally:
        remove(folder)


def _batches(ctx: Context, images: Images, split: Split) -> ZarrSequence:
    batches = ZarrSequence(
        images.store,
        name=images.name,
        batch_size=ctx.options["batch_size"],
        rows=split.training,
        seed=ctx.seed,
        run_length=ctx.options["run_length"] or 1,
        spill_folder=ctx.staging,
    )
    if batches.note:
        ctx.log(batches.note)
    return batches


def _warn_of_ignored(ctx: Context, *, is_compiled: bool) -> None:
    """Say which options the user gave in vain beside a model of their own."""
    ignored = _OF_BUILDING + _OF_COMPILING * is_compiled
    defaults = {option.name: option.default for option in OPTIONS}
    given = [name for name in ignored if ctx.options[name] != defaults[name]]
    if given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        ctx.log(f"the model of --model has its own say: {names} ignored")


def _warn_of_changes(ctx: Context) -> None:
    """Say what differs from the last attempt, since results may then differ too."""
    before: Mapping[str, str] = ctx.state.get("environment", {})
    now = environment()
    for key, old in before.items():
        if now.get(key) != old:
            ctx.log(
                f"{key} was {old}, now {now.get(key)}: the result may differ in its "
                "last digits from that of an unbroken run"
            )


def _note_micro_batch(ctx: Context, model: keras.Model, plan: TrainingPlan) -> None:
    """Say from which step on another number of images was computed at once.

    Layers that see them all give another result. Without such layers gradients are the
    same sums in another order: last digits differ.
    """
    before = ctx.state.get("micro_batch", plan.batch_size)
    if plan.micro_batch == before:
        return
    kinds = sees_the_batch(model)
    steps_an_epoch = -(-plan.training.n_samples // plan.batch_size)
    in_epoch = ctx.state.get("batch", 0)
    if ctx.state.get("is_validating"):
        in_epoch = steps_an_epoch
    step = ctx.state.get("epoch", 0) * steps_an_epoch + in_epoch + 1
    what = f"{' and '.join(kinds)} saw" if kinds else "gradients were summed over"
    how = "differs" if kinds else "may differ in its last digits"
    ctx.note(
        f"from step {step} on, {what} micro-batches of {plan.micro_batch} images "
        f"instead of {before}, so the result {how} from that of a run with more memory"
    )


def write_history(path: Path, rows: Iterable[Mapping[str, float]]) -> None:
    """Write one line an epoch, every figure in full precision."""
    rows = list(rows)
    with storage_errors(path), path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_account(
    path: Path, options: Mapping[str, Any], code: Mapping[str, Any] | None
) -> None:
    """Write what cannot be seen in the weights.

    Which images the model never saw, and what builds it again where its files will not do.
    """
    account = {"validation_split": options["validation_split"]}
    if options["autoencoder"] == VAE:
        account |= {"autoencoder": VAE, "kl_weight": kl_weight_of(options)}
    account |= {"model": code} if code else {}
    with storage_errors(path):
        path.write_text(json.dumps(account, indent=2) + "\n", encoding="utf-8")
