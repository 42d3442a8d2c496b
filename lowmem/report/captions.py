"""What each figure shows, in a sentence; and which come first."""

from __future__ import annotations

# Faces before statistics: they say at a glance whether a run went well. What is not
# named here, a user's own pictures, comes in the order of its names.
_SENTENCES = {
    "grid": "Images decoded from vectors that were drawn.",
    "methods": "Real images, their reconstructions, and a row of each method of drawing.",
    "reconstructions": "Real images, each over its reconstruction.",
    "nearest": "Drawn images, each over the images of the training set nearest to it.",
    "axes": "A row for each of the first principal axes, from -3 to 3 sigma.",
    "explained-variance": "The share of the variance along each of the first axes.",
    "cumulative-importance": "How much of the variance the first axes hold together.",
    "correlation": "The correlations of the features, before and after PCA.",
    "radius": "Quantiles of the Mahalanobis distance against the chi-squared law.",
    "survivors": "Rows that survive each cut, beside what independence would give.",
    "pair-2-3": "Axes 2 and 3 of the survivors of each cut.",
    "features": "How much of each feature behind the images a linear map recovers.",
    "overlap": "How elliptic each measured pair is, as a matrix.",
    "comparison": "Importance, radius, overlaps and components of both studies.",
    "ten-best": "The ten pairs whose contours are the most elliptic.",
    "ten-worst": "The ten pairs whose contours are the least elliptic.",
    "components-raw": "Densities of features with the Gaussians fitted to them.",
    "components-pca": "Densities of components with the Gaussians fitted to them.",
    "components-raw-all": "The densities of all features, coloured by their distance.",
    "components-pca-all": "The densities of all components, coloured by their distance.",
    "scatter-raw": "Points of pairs of features with their ellipses.",
    "scatter-pca": "Points of pairs of components with their ellipses.",
}
_PAIRS = "Pairs in columns, each frame in a row: density, contours and ellipses."
_ORDER = {stem: place for place, stem in enumerate(_SENTENCES)}


def sentence_of(stem: str) -> str:
    """Return what a figure shows; empty for one that lowmem does not draw.

    Examples
    --------
    >>> sentence_of("grid"), sentence_of("mine")
    ('Images decoded from vectors that were drawn.', '')
    """
    return _SENTENCES.get(stem) or (_PAIRS if stem.startswith("pairs-") else "")


def place_of(stem: str) -> tuple[int, str]:
    """Return what figures are sorted by."""
    return _ORDER.get(stem, len(_ORDER)), stem
