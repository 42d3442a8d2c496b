"""Sentences of the README and of every page are short: the short form of benchmarks/words.py."""

from __future__ import annotations

import pytest

from benchmarks.words import GENERATED, ROOT, lengths, pages, sentences

MEDIAN_BELOW, LONGEST = 18, 35


def is_plain(text: str) -> bool:
    found = lengths(text)
    return found.median < MEDIAN_BELOW and found.longest <= LONGEST


def test_all_pages_are_counted_but_the_generated_ones():
    assert {"README.md", "docs/architecture.md", "docs/formats/results.md"} <= {
        *pages()
    }
    assert not set(GENERATED) & set(pages())
    assert all((ROOT / name).is_file() for name in GENERATED)


@pytest.mark.parametrize("name", pages())
def test_half_of_the_sentences_are_short_and_none_is_long(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert is_plain(text), lengths(text)


@pytest.mark.parametrize("name", pages())
def test_one_long_sentence_in_a_page_is_found(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not is_plain(f"{text}\n\n{'word ' * LONGEST}more.\n")


def test_many_sentences_of_eighteen_words_are_found():
    assert is_plain("One is short enough.\n" * 3)
    assert not is_plain(("word " * (MEDIAN_BELOW - 1) + "end. ") * 3)


def test_blocks_tables_and_headings_are_no_sentences():
    text = (
        "# A heading of four\n\nOne is short: `a b c d`, [as told](here.md). Two is "
        "(nearly) so.\n\n```\nno sentence is in here\n```\n\n| no | sentence here |\n\n"
        "- **Time.** It begins an item.\n- and so does this\n"
    )
    assert sentences(text) == [
        "One is short: Code, as told.",
        "Two is (nearly) so.",
        "It begins an item.",
        "- and so does this",
    ]
