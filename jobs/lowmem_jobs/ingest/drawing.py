"""Draw one face from its features, anti-aliased at any size.

Every shape is a signed distance in units of the image's height: negative inside, zero
on the outline. A pixel is covered by the part of its own width that lies inside, so the
outline is as smooth at 32 pixels as at 512, and moves smoothly with the features.
Painting goes from back to front, each shape only over the pixels that it may touch.
"""

from __future__ import annotations

from math import cos, sin, tanh
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lowmem_jobs.ingest.framing import Pixels

    Plane = NDArray[np.float32]
    Colour = tuple[float, float, float]
    Window = tuple[slice, slice]

# Colours from tone 0 to tone 1, as red, green, blue of 0 to 255.
_SKIN = (
    (255, 226, 204),
    (246, 202, 168),
    (222, 166, 126),
    (166, 110, 78),
    (102, 66, 50),
)
_HAIR = ((24, 20, 26), (58, 38, 32), (112, 64, 36), (176, 98, 46), (232, 194, 120))
_EYES = ((58, 34, 24), (110, 72, 36), (92, 120, 62), (60, 134, 140), (70, 130, 206))
_BACK = (
    (74, 154, 150),
    (98, 160, 214),
    (164, 154, 216),
    (230, 160, 166),
    (236, 206, 140),
)
_SHIRT = (
    (226, 120, 92),
    (240, 196, 96),
    (96, 168, 128),
    (76, 110, 168),
    (126, 84, 140),
)
_WHITE: Colour = (255, 255, 255)
_PUPIL: Colour = (22, 18, 20)
_MOUTH: Colour = (112, 34, 42)
_LIP: Colour = (206, 82, 88)
_HEAD_Y = 0.50  # of the head's centre, from the top


def _tone(palette: Sequence[Sequence[float]], tone: float) -> Colour:
    """Return the colour at ``tone``; ever slower towards the ends, never past them."""
    place = (0.5 + 0.5 * tanh(2 * (tone - 0.5))) * (len(palette) - 1)
    lower = min(int(place), len(palette) - 2)
    share = place - lower
    red, green, blue = (
        (1 - share) * a + share * b
        for a, b in zip(palette[lower], palette[lower + 1], strict=True)
    )
    return red, green, blue


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = colour
    return red * factor, green * factor, blue * factor


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (
        (1 - share) * a + share * b for a, b in zip(first, second, strict=True)
    )
    return red, green, blue


def _ellipse(u: Plane, v: Plane, a: float, b: float) -> Plane:
    """Return the distance to an ellipse about the origin, exact near its outline."""
    p, q = u * (1 / a), v * (1 / b)
    radius = np.sqrt(p * p + q * q) + np.float32(1e-6)
    p *= 1 / a
    q *= 1 / b
    slope = np.sqrt(p * p + q * q) + np.float32(1e-6)
    distance: Plane = radius * (radius - 1) / slope
    return distance


def _bar(u: Plane, v: Plane, half: float, radius: float) -> Plane:
    """Return the distance to a level bar with round ends about the origin."""
    beyond = np.maximum(np.abs(u) - half, 0)
    distance: Plane = np.sqrt(beyond * beyond + v * v) - radius
    return distance


class _Canvas:
    """One picture in the making: colours and, for each pixel, its place in the face.

    Parameters
    ----------
    x, y : shape (1, size) and (size, 1)
        Places of the pixels in the image.
    centre, tilt
        Where the centre of the head is, across, and how far it leans.

    Attributes
    ----------
    u, v : shape (size, size)
        Right and down from the centre of the head, along the tilted axes of the face.
    """

    def __init__(self, x: Plane, y: Plane, *, centre: float, tilt: float) -> None:
        self.size = len(y)
        self._turn = (cos(tilt), sin(tilt))
        self._centre = centre
        c, s = self._turn
        right, down = x - np.float32(centre), y - np.float32(_HEAD_Y)
        self.u: Plane = c * right + s * down
        self.v: Plane = c * down - s * right
        self.colours = np.empty((3, self.size, self.size), np.float32)

    def window(self, u: float, v: float, reach: float) -> Window:
        """Return the pixels within ``reach`` of a place of the face."""
        c, s = self._turn
        x, y = self._centre + c * u - s * v, _HEAD_Y + s * u + c * v
        return self._span(y, reach), self._span(x, reach)

    def _span(self, middle: float, reach: float) -> slice:
        first = int((middle - reach) * self.size) - 1
        last = int((middle + reach) * self.size) + 2
        return slice(max(0, first), max(0, last))

    def coverage(self, distance: Plane) -> Plane:
        """Return how much of each pixel lies inside, 0 to 1."""
        share: Plane = 0.5 - distance * np.float32(self.size)
        # np.clip does the same, after three microseconds of looking at its arguments.
        np.maximum(share, 0, out=share)
        np.minimum(share, 1, out=share)
        return share

    def blend(self, window: Window, share: Plane, colour: Colour) -> None:
        """Lay ``colour`` over a window, as opaque as ``share`` says."""
        below = self.colours[:, *window]
        change = np.array(colour, np.float32)[:, None, None] - below
        change *= share
        below += change

    def fill(self, window: Window, distance: Plane, colour: Colour) -> None:
        """Lay ``colour`` over the inside of a shape."""
        self.blend(window, self.coverage(distance), colour)


class Painter:
    """Paints faces of one size; may be called from several threads at once."""

    def __init__(self, size: int) -> None:
        places = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(
            size
        )
        self._x: Plane = places[None, :]
        self._y: Plane = places[:, None]

    def paint(self, face: Mapping[str, float]) -> Pixels:
        """Return the picture of a face, shape (size, size, 3).

        Parameters
        ----------
        face
            Its features by name.
        """
        canvas = _Canvas(
            self._x, self._y, centre=face["head_x"], tilt=face["head_tilt"]
        )
        self._paint_background(canvas, face)
        _paint_back_hair(canvas, face)
        self._paint_shoulders(canvas, face)
        _paint_head(canvas, face)
        _paint_nose(canvas, face)
        _paint_mouth(canvas, face)
        for side in (-1.0, 1.0):
            _paint_eye(canvas, face, side)
            _paint_brow(canvas, face, side)
        _paint_front_hair(canvas, face)
        colours = np.clip(np.rint(canvas.colours), 0, 255)
        return np.ascontiguousarray(colours.transpose(1, 2, 0).astype(np.uint8))

    def _paint_background(self, canvas: _Canvas, face: Mapping[str, float]) -> None:
        colour = _tone(_BACK, face["background_tone"])
        light = np.float32(face["light"])
        glow = 1.08 - 0.22 * self._y + 0.6 * light * (self._x - np.float32(0.5))
        for channel, value in zip(canvas.colours, colour, strict=True):
            np.multiply(glow, np.float32(value), out=channel)

    def _paint_shoulders(self, canvas: _Canvas, face: Mapping[str, float]) -> None:
        """Paint neck and shirt, which stay upright when the head tilts."""
        rows = (slice(int(0.6 * canvas.size), None), slice(None))
        x, y = self._x - np.float32(face["head_x"]), self._y[rows]
        skin = _shade(_tone(_SKIN, face["skin_tone"]), 0.82)
        shirt = _tone(_SHIRT, 1 - face["background_tone"])
        width = face["head_width"]
        canvas.fill(rows, np.abs(x) - np.float32(0.45 * width), skin)
        canvas.fill(rows, _ellipse(x, y - np.float32(1.1), 1.6 * width, 0.24), shirt)
        collar = _ellipse(x, y - np.float32(0.865), 0.5 * width, 0.07)
        canvas.fill(rows, collar, skin)


def _head_distance(
    canvas: _Canvas, window: Window, face: Mapping[str, float], grow: float = 0.0
) -> Plane:
    """Return the distance to the head: an ellipse that narrows towards the chin."""
    u, v = canvas.u[window], canvas.v[window]
    height = face["head_height"] + grow
    jaw = 1 + np.maximum(v, 0) * np.float32(0.24 / height)
    return _ellipse(u * jaw, v, face["head_width"] + grow, height)


def _paint_back_hair(canvas: _Canvas, face: Mapping[str, float]) -> None:
    hair = _shade(_tone(_HAIR, face["hair_tone"]), 0.8)
    # The cap ends 0.4 from the centre, the locks a corner past their length.
    window = canvas.window(0, 0, max(0.42, face["hair_length"] + 0.3))
    u, v = canvas.u[window], canvas.v[window]
    cap = _ellipse(
        u,
        v + np.float32(0.05),
        face["head_width"] + 0.045,
        face["head_height"] + 0.015,
    )
    # Locks hang from the temples to the length of the hair; short hair hides them.
    half = face["head_width"] + 0.035
    length = np.float32(face["hair_length"])
    across = np.abs(u) - np.float32(half - 0.05)
    along = np.maximum(v - (length - np.float32(0.05)), -v - 0.1)
    corner = np.hypot(np.maximum(across, 0), np.maximum(along, 0))
    locks = corner + np.minimum(np.maximum(across, along), 0) - np.float32(0.05)
    canvas.fill(window, np.minimum(cap, locks), hair)


def _paint_head(canvas: _Canvas, face: Mapping[str, float]) -> None:
    skin = _tone(_SKIN, face["skin_tone"])
    width = face["head_width"]
    for side in (-1.0, 1.0):
        place = (side * (width + 0.004), 0.01)
        ear = canvas.window(*place, 0.06)
        u, v = (
            canvas.u[ear] - np.float32(place[0]),
            canvas.v[ear] - np.float32(place[1]),
        )
        canvas.fill(ear, _ellipse(u, v, 0.032, 0.052), _shade(skin, 0.9))
    window = canvas.window(0, 0, face["head_height"] + 0.01)
    share = canvas.coverage(_head_distance(canvas, window, face))
    u, v = canvas.u[window], canvas.v[window]
    # Lit from the side that `light` names; a little darker below.
    lit = 1.02 - 0.14 * (v + 0.3) + np.float32(face["light"] / width) * u
    for channel, value in zip(canvas.colours, skin, strict=True):
        below = channel[window]
        below += share * (np.float32(value) * lit - below)
    _paint_cheeks(canvas, face, skin)


def _paint_cheeks(canvas: _Canvas, face: Mapping[str, float], skin: Colour) -> None:
    blush = _mix(skin, (226, 84, 84), 0.5)
    for side in (-1.0, 1.0):
        place = (side * 0.58 * face["head_width"], 0.09)
        window = canvas.window(*place, 0.08)
        u = canvas.u[window] - np.float32(place[0])
        v = canvas.v[window] - np.float32(place[1])
        near = np.maximum(1 - (u * u + v * v) * np.float32(1 / 0.075**2), 0)
        canvas.blend(window, np.float32(0.45) * near * near, blush)


def _paint_nose(canvas: _Canvas, face: Mapping[str, float]) -> None:
    skin = _tone(_SKIN, face["skin_tone"])
    width, tip = face["nose_width"], face["eye_height"] + face["nose_length"]
    window = canvas.window(0, tip, 2 * width + 0.01)
    u, v = canvas.u[window], canvas.v[window] - np.float32(tip)
    canvas.fill(window, _ellipse(u, v, width, 0.62 * width), _shade(skin, 0.8))
    above = _ellipse(u, v + np.float32(0.2 * width), 0.9 * width, 0.62 * width)
    canvas.fill(window, above, _shade(skin, 0.98))
    glint = _ellipse(u, v + np.float32(0.35 * width), 0.35 * width, 0.2 * width)
    canvas.fill(window, glint, _mix(skin, _WHITE, 0.45))


def _paint_mouth(canvas: _Canvas, face: Mapping[str, float]) -> None:
    half, middle = face["mouth_width"], face["mouth_height"]
    curve, opening = face["mouth_curve"], face["mouth_opening"]
    window = canvas.window(0, middle, half + 0.05)
    u, v = canvas.u[window], canvas.v[window] - np.float32(middle)
    across = u * np.float32(1 / half)
    inside = np.maximum(1 - across * across, 0)
    # A smile: the corners rise above the middle by the curve.
    off_line = v + np.float32(curve) * (across * across - np.float32(0.5))
    steep = np.sqrt(1 + np.square(np.float32(2 * curve / half) * across))
    ends = np.abs(u) - np.float32(half)
    lips = np.maximum(
        (np.abs(off_line) - (opening + 0.006) * np.sqrt(inside)) / steep, ends
    )
    gap = np.maximum((np.abs(off_line) - 0.75 * opening * inside) / steep, ends)
    teeth = np.maximum(gap, off_line + np.float32(0.1 * opening))
    skin = _tone(_SKIN, face["skin_tone"])
    canvas.fill(window, lips, _mix(skin, _LIP, 0.75))
    canvas.fill(window, gap, _MOUTH)
    canvas.fill(window, teeth, (246, 242, 236))


def _paint_eye(canvas: _Canvas, face: Mapping[str, float], side: float) -> None:
    size = face["eye_size"]
    u0, v0 = side * face["eye_distance"], face["eye_height"]
    window = canvas.window(u0, v0, 1.25 * size + 0.01)
    u, v = canvas.u[window] - np.float32(u0), canvas.v[window] - np.float32(v0)
    height = size * face["eye_opening"]
    skin = _tone(_SKIN, face["skin_tone"])
    canvas.fill(
        window,
        _ellipse(u, v + np.float32(0.006), 1.08 * size, 1.06 * height),
        _shade(skin, 0.45),
    )
    white = canvas.coverage(_ellipse(u, v, size, height))
    canvas.blend(window, white, (250, 250, 248))
    across = u - np.float32(face["gaze"] * size)
    radius = np.sqrt(across * across + v * v)
    iris = _tone(_EYES, face["eye_tone"])
    for share, colour in ((0.64, _shade(iris, 0.7)), (0.54, iris), (0.3, _PUPIL)):
        disc = canvas.coverage(radius - np.float32(share * size))
        canvas.blend(window, disc * white, colour)
    glint = np.hypot(across + np.float32(0.2 * size), v + np.float32(0.22 * size))
    canvas.fill(window, glint - np.float32(0.13 * size), _WHITE)


def _paint_brow(canvas: _Canvas, face: Mapping[str, float], side: float) -> None:
    hair = _shade(_tone(_HAIR, face["hair_tone"]), 0.75)
    u0 = side * face["eye_distance"]
    v0 = face["eye_height"] - face["brow_height"]
    window = canvas.window(u0, v0, 0.075)
    u, v = canvas.u[window] - np.float32(u0), canvas.v[window] - np.float32(v0)
    # A raised inner end is friendly, a lowered one stern.
    angle = side * face["brow_angle"]
    c, s = np.float32(cos(angle)), np.float32(sin(angle))
    along, off = c * u + s * v, c * v - s * u
    arched = off - np.float32(4.0) * along * along
    canvas.fill(window, _bar(along, arched, 0.045, 0.0095), hair)


def _paint_front_hair(canvas: _Canvas, face: Mapping[str, float]) -> None:
    hair = _tone(_HAIR, face["hair_tone"])
    window = canvas.window(0, -0.1, face["head_height"])
    u, v = canvas.u[window], canvas.v[window]
    head = _head_distance(canvas, window, face, grow=0.014)
    # A fringe parted to the lit side; at the temples it falls towards the ears.
    parted = u - np.float32(0.07)
    line = np.float32(face["hair_line"]) + 1.9 * parted * parted
    fringe = np.maximum(head, (v - line) * np.float32(0.75))
    canvas.fill(window, fringe, hair)
    shine = _bar(u + np.float32(0.05), v - line + np.float32(0.075), 0.05, 0.011)
    canvas.blend(
        window,
        0.5 * canvas.coverage(np.maximum(shine, fringe)),
        _mix(hair, _WHITE, 0.45),
    )
