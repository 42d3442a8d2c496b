from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lowmem_jobs.ingest.framing import Framing
from lowmem_jobs.ingest.image_decoder import Decoder, image_formats
from lowmem_jobs.ingest.unreadable import UnreadableError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image, form="PNG", **options: object):
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def decode(data, size=16, crop="none"):
    return np.asarray(Decoder(Framing(size=size, crop=crop)).image(data))


def flat(mode, colour, size=(16, 16)):
    return Image.new(mode, size, colour)


def palette_red():
    return flat("RGB", RED).convert("P", palette=Image.Palette.ADAPTIVE)


ONE_COLOUR = {
    "1": (encoded(flat("1", 1)), WHITE),
    "L": (encoded(flat("L", 77)), (77, 77, 77)),
    "LA half over white": (encoded(flat("LA", (0, 51))), (204, 204, 204)),
    "RGB": (encoded(flat("RGB", RED)), RED),
    "RGBA half over white": (encoded(flat("RGBA", (*RED, 51))), (255, 204, 204)),
    "RGBA clear is white": (encoded(flat("RGBA", (*RED, 0))), WHITE),
    "P": (encoded(palette_red()), RED),
    "P with a clear colour": (encoded(palette_red(), transparency=0), WHITE),
    "RGB with a clear colour": (encoded(flat("RGB", RED), transparency=RED), WHITE),
    "L with a clear grey": (encoded(flat("L", 77), transparency=77), WHITE),
    "I;16 of PNG": (encoded(flat("I;16", 257 * 77)), (77, 77, 77)),
    "I;16 of TIFF": (encoded(flat("I;16", 257 * 77), "TIFF"), (77, 77, 77)),
    "I of TIFF": (encoded(flat("I", 65535), "TIFF"), WHITE),
    "F of TIFF": (encoded(flat("F", 0.6), "TIFF"), (153, 153, 153)),
    "CMYK of TIFF": (encoded(flat("CMYK", (0, 255, 255, 0)), "TIFF"), RED),
    "LAB of TIFF": (encoded(flat("LAB", (255, 128, 128)), "TIFF"), WHITE),
    "GIF": (encoded(flat("RGB", RED), "GIF"), RED),
    "BMP": (encoded(flat("RGB", RED), "BMP"), RED),
    "WebP": (encoded(flat("RGBA", (*RED, 0)), "WEBP", lossless=True), WHITE),
    "TGA with alpha": (encoded(flat("RGBA", (*RED, 51)), "TGA"), (255, 204, 204)),
}


@pytest.mark.parametrize("name", ONE_COLOUR)
def test_every_mode_becomes_the_rgb_that_a_viewer_on_white_shows(name):
    data, colour = ONE_COLOUR[name]
    pixels = decode(data)
    assert (pixels.shape, pixels.dtype) == ((16, 16, 3), np.uint8)
    assert np.abs(pixels.astype(int) - colour).max() <= 1


@pytest.mark.parametrize("mode", ["YCbCr", "CMYK", "RGB", "L"])
def test_jpeg_of_every_mode_keeps_its_colour(mode):
    colour = flat("RGB", (200, 100, 50)).convert(mode)
    pixels = decode(encoded(colour, "JPEG", quality=95)).astype(int)
    expected = colour.convert("RGB").getpixel((0, 0))
    assert np.abs(pixels - expected).max() <= 3


def test_sixteen_bits_are_scaled_and_not_cut():
    ramp = Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257)
    pixels = decode(encoded(ramp))
    np.testing.assert_array_equal(pixels[..., 0].ravel(), np.arange(256))
    # 200 is nearer to 1/255 of white than to 0; its upper byte alone would say 0.
    assert decode(encoded(flat("I;16", 200))).max() == 1


@pytest.mark.parametrize(
    "image",
    [flat("I", 70000), flat("I", -1), flat("F", 1.5), flat("F", float("nan"))],
)
def test_grey_values_without_a_known_white_are_refused(image):
    with pytest.raises(UnreadableError, match="no known white"):
        decode(encoded(image, "TIFF"))


def test_hidden_colour_does_not_bleed_into_edges():
    image = flat("RGBA", (0, 0, 0, 0), (64, 64))  # clear, but black underneath
    image.paste((*WHITE, 255), (0, 0, 30, 64))
    assert decode(encoded(image)).min() == 255


def test_the_first_frame_of_an_animation_is_taken():
    frames = [flat("RGB", RED), flat("RGB", (0, 0, 255))]
    for form in ("GIF", "PNG", "WEBP"):
        options = {"lossless": True} if form == "WEBP" else {}
        data = encoded(
            frames[0], form, save_all=True, append_images=frames[1:], **options
        )
        np.testing.assert_array_equal(decode(data)[0, 0], RED)


def arrow():
    """Return an image that differs under all eight orientations."""
    image = flat("RGB", (0, 0, 0), (32, 48))
    image.paste(RED, (0, 0, 16, 24))
    image.paste((0, 255, 0), (16, 0, 32, 8))
    return image


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(form, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if form == "JPEG" else {}
    options |= {"lossless": True} if form == "WEBP" else {}
    data = encoded(arrow(), form, exif=exif, **options)
    upright = arrow()
    upright.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(upright)
    expected = np.asarray(upright.resize((16, 16), Image.Resampling.LANCZOS)).astype(
        int
    )
    got = decode(data).astype(int)
    # JPEG smears colour over the edges of its blocks; a wrong turn differs by 255.
    assert np.abs(got - expected).mean() < (8 if form == "JPEG" else 0.5)


@pytest.mark.parametrize(
    ("crop", "box"),
    [
        ("none", (0, 0, 40, 20)),
        ("center", (10, 0, 30, 20)),
        ((5, 2, 25, 12), (5, 2, 25, 12)),
    ],
)
def test_a_crop_takes_its_box_and_scales_it_to_the_square(crop, box):
    noise = np.random.default_rng(0).integers(0, 256, (20, 40, 3)).astype(np.uint8)
    image = Image.fromarray(noise)
    expected = image.crop(box).resize((16, 16), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(decode(encoded(image), crop=crop), expected)


def test_an_image_smaller_than_the_crop_box_is_unreadable():
    with pytest.raises(UnreadableError, match="16 x 16 pixels, too small for the crop"):
        decode(encoded(flat("RGB", RED)), crop=(0, 0, 17, 5))


def test_an_image_of_the_wanted_size_is_stored_unchanged():
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(noise))), noise)


def test_a_large_jpeg_decoded_in_draft_looks_like_the_full_one():
    y, x = np.mgrid[:640, :960]
    smooth = np.stack([x * 255 / 959, y * 255 / 639, (x + y) * 255 / 1598], -1)
    image = Image.fromarray(smooth.astype(np.uint8))
    for crop, box in (("none", None), ("center", (160, 0, 800, 640))):
        expected = image.resize((16, 16), Image.Resampling.LANCZOS, box=box)
        got = decode(encoded(image, "JPEG", quality=95), crop=crop)
        assert np.abs(got.astype(int) - np.asarray(expected)).max() <= 4


def test_a_crop_box_means_the_same_in_a_jpeg_decoded_in_draft():
    image = flat("RGB", (0, 0, 255), (1600, 1600))
    image.paste(RED, (400, 800, 1200, 1600))
    pixels = decode(encoded(image, "JPEG", quality=95), crop=(420, 820, 1180, 1580))
    assert np.abs(pixels.astype(int) - RED).max() <= 16  # a wrong box: 255


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_of_more_pixels_than_the_limit_is_not_decoded():
    # A megabyte of zeros unfolds to 144 megapixels.
    bomb = encoded(Image.new("1", (12000, 12000)))
    assert len(bomb) < 2**15
    with pytest.raises(
        UnreadableError, match="12000 x 12000 pixels, more than 67108864"
    ):
        decode(bomb)


def test_every_cut_or_altered_image_is_decoded_or_refused_and_nothing_else_happens():
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (24, 24, 3)).astype(np.uint8))
    decoder = Decoder(Framing(size=8, crop="center"))
    outcomes = set()
    for form in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "ICO", "TGA", "PPM"):
        data = encoded(noise, form)
        hostile = [data[: len(data) * part // 8] for part in range(8)]
        for _ in range(40):
            altered = bytearray(data)
            for place in random.integers(0, min(len(data), 200), 3):
                altered[place] ^= 1 << random.integers(8)
            hostile.append(bytes(altered))
        for case in hostile:
            try:
                outcomes.add(str(np.asarray(decoder.image(case)).shape))
            except UnreadableError as error:
                outcomes.add(str(error))
    assert "(8, 8, 3)" in outcomes
    assert len(outcomes) > 10
    # Reasons are listed in a file that must be the same in every run.
    assert not any("0x" in reason or "\n" in reason for reason in outcomes)


@pytest.mark.parametrize(
    "data", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0"]
)
def test_what_is_no_image_is_refused_with_a_reason(data):
    with pytest.raises(UnreadableError, match="not an image that Pillow can read"):
        decode(data)


def test_postscript_is_never_handed_to_ghostscript():
    assert "EPS" not in image_formats()
    assert {"PNG", "JPEG", "WEBP", "GIF", "TIFF"} <= set(image_formats())
