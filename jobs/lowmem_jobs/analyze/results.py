"""The end of an analysis: figures, tables and the store."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem import Result
from lowmem.base import make_folder, sync_tree, write_file
from lowmem_jobs.analyze.comparison import Comparison
from lowmem_jobs.analyze.component_columns import Columns
from lowmem_jobs.analyze.csv_tables import write_csv
from lowmem_jobs.analyze.digest import Portrait, digest_of
from lowmem_jobs.analyze.figure_selection import (
    MOST_PAGED,
    ShownColumns,
    choose_portraits,
)
from lowmem_jobs.analyze.job import MOST_TURNING, shown_pairs
from lowmem_jobs.analyze.known_features import has_truth
from lowmem_jobs.analyze.store import pair_table, write_store
from lowmem_jobs.analyze.summary import headline, summary_of, to_json
from lowmem_jobs.analyze.sweeps import ColumnsSweep

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from lowmem import CommitPoint, Context
    from lowmem_jobs.analyze.figure_selection import Pair
    from lowmem_jobs.analyze.retained_rows import RetainedRows
    from lowmem_jobs.analyze.stages import AnalysisState
    from lowmem_jobs.analyze.study import Study
    from lowmem_jobs.analyze.vectors import Latents
    from lowmem_jobs.model.latents_origin import LatentsOrigin


class Results:
    """What is made of a study.

    Parameters
    ----------
    context, state, latents
        Of the job.
    kept
        The rows that the study is of.
    columns
        Their components in the frame in which pairs were measured.
    origin
        Of the latents, where it is known.
    """

    def __init__(
        self,
        context: Context,
        state: AnalysisState,
        latents: Latents,
        *,
        kept: RetainedRows,
        columns: Columns,
        origin: LatentsOrigin | None,
    ) -> None:
        self._origin = origin
        self._context, self._course, self._latents = context, state, latents
        self._kept, self._columns = kept, columns

    def of(
        self, study: Study, other: Portrait | None
    ) -> Generator[CommitPoint, None, Result]:
        """Draw and write everything; ``other`` is the study to compare with."""
        staging = self._context.staging
        folder = staging / "analysis"
        make_folder(folder / "figures")
        summary = summary_of(study)
        comparison = None if other is None else self._compared(study, summary, other)
        yield from self._figures(study, comparison)
        if comparison is not None:
            summary["against"] = comparison.summary()
            write_csv(folder / "comparison.csv", comparison.table())
            for line in comparison.lines():
                self._context.log(line)
        write_file(folder / "summary.json", to_json(summary))
        write_csv(folder / "pairs.csv", pair_table(study))
        write_store(staging / "analysis.zarr", study, self._origin)
        for text in left_out(study, self._context.options):
            self._context.note(text)
        if why := self._why_no_truth():
            self._context.note(why)
        if study.core is not None and not study.core.is_settled:
            self._context.note(
                f"the inner core still moved in the last of {study.core.n_iterations} "
                "passes: its figures are rough"
            )
        return Result(publish=["analysis.zarr", "analysis"], summary=headline(summary))

    def _why_no_truth(self) -> str:
        """Return why known features were not compared with; empty where they were."""
        origin, context = self._origin, self._context
        images = context.workspace.images
        if origin is None or context.options["latents"]:
            return ""
        if not has_truth(images, self._latents.n_rows) or origin.is_of(images):
            return ""
        return (
            "did not compare with the features behind the images: latents.zarr is of "
            f"{origin.rows}, not of the workspace's images"
        )

    def _compared(
        self, study: Study, summary: dict[str, Any], other: Portrait
    ) -> Comparison:
        """Hold the study against the other, by documents of the same form."""
        here = Portrait(
            name=self._context.workspace.root.name,
            digest=digest_of(to_json(summary)),
            importance=study.axes.explained_variance_ratio,
            overlaps=study.iou,
        )
        return Comparison(here=here, there=other)

    def _figures(
        self, study: Study, comparison: Comparison | None
    ) -> Generator[CommitPoint, None, None]:
        """Draw all figures; the pairs shown are looked up in the other frame too."""
        if not self._context.options["figures"]:
            return
        portraits = choose_portraits(
            n_features=study.n_features,
            rho=study.raw.rho,
            i=study.selection.i,
            j=study.selection.j,
            iou=study.iou,
            chosen=shown_pairs(self._context.options["show_pairs"]),
        )
        sources = yield from self._sources(study, portraits)
        folder = self._context.staging / "analysis" / "figures"
        # Matplotlib takes some 20 MB, of which measuring has no need.
        from lowmem_jobs.analyze.gallery import Shown, figures_of  # noqa: PLC0415

        figures = figures_of(
            Shown(
                study=study,
                portraits=portraits,
                sources=sources,
                comparison=comparison,
            )
        )
        vector = self._context.options["vector"]
        suffixes = ("png",) if vector is None else ("png", vector)
        n_drawn, _ = self._course.resumed()
        for number, (name, draw) in enumerate(figures.items(), start=1):
            if number <= n_drawn:
                continue
            for suffix in suffixes:
                draw(folder / f"{name}.{suffix}")
            synced = partial(sync_tree, folder)
            yield from self._course.step("results", number, dict, synced)

    def _sources(
        self, study: Study, portraits: Mapping[str, list[Pair]]
    ) -> Generator[CommitPoint, None, list[ShownColumns]]:
        """Return the columns of both frames, raw first."""
        everything = {k: k for k in range(study.n_features)}
        here = ShownColumns(
            view=study.view(study.frame), columns=self._columns, place=everything
        )
        shown = sorted({k for pairs in portraits.values() for p in pairs for k in p})
        if not shown:
            return []
        other = study.pca if study.frame == "raw" else study.raw
        some = Columns(
            self._context.staging / "portraits.f32",
            n_rows=study.moments.n_samples,
            n_columns=len(shown),
        )
        sweep = ColumnsSweep(
            frame=other.frame,
            chosen=np.array(shown),
            keep=self._kept.cut.keep,
            columns=some,
        )
        yield from self._course.sweep("portraits", self._latents, sweep)
        place = {component: k for k, component in enumerate(shown)}
        there = ShownColumns(view=other, columns=some, place=place)
        return [here, there] if study.frame == "raw" else [there, here]


def left_out(study: Study, options: Mapping[str, Any]) -> list[str]:
    """Return what was not done because there are many components, in words."""
    d, selection = study.n_features, study.selection
    n_left = selection.n_possible - selection.i.size
    said = []
    if n_left and options["pairs"] is None:
        said.append(
            f"measured {selection.rule} of {selection.n_possible:,}; "
            "--pairs all measures every one"
        )
    if d > MOST_TURNING:
        said.append(
            f"did not follow the axes 2 and 3 from cut to cut: {d} components, "
            f"more than {MOST_TURNING}"
        )
    if options["figures"] and d > MOST_PAGED:
        said.append(f"drew the densities of the first {MOST_PAGED} of {d} components")
    return said
