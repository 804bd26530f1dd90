"""Colours that tell classes apart, and letters of any script."""
import itertools

import pytest
from matplotlib import font_manager

from dicenet_mm.visualization.text import class_colours, font_for


@pytest.mark.parametrize('count,distance', [(2, 150), (3, 120), (10, 60), (20, 25), (200, 0)])
def test_colours_lie_far_apart(count, distance):
    """Euclidean, in RGB; two greens of mmdet's random palette are 60 apart."""
    colours = class_colours(count)
    assert len(colours) == count and all(0 <= part <= 255 for colour in colours for part in colour)
    assert min(sum((a - b) ** 2 for a, b in zip(*pair)) ** 0.5
               for pair in itertools.combinations(colours, 2)) >= distance


def test_the_usual_font_has_latin_greek_and_cyrillic():
    usual = font_manager.findfont('DejaVu Sans')
    assert font_for(['Schraube', 'έλικα', 'винт']) == usual


def test_another_font_is_taken_for_letters_that_it_lacks():
    """Here a letter of a font that matplotlib carries beside DejaVu Sans."""
    usual = font_manager.get_font(font_manager.findfont('DejaVu Sans')).get_charmap()
    letter = next(chr(code) for entry in font_manager.fontManager.ttflist
                  for code in font_manager.get_font(entry.fname).get_charmap()
                  if code not in usual and chr(code).isprintable())
    assert ord(letter) in font_manager.get_font(font_for([letter])).get_charmap()


def test_letters_of_no_font_do_not_stop_the_drawing():
    assert font_for(['\U000e0fff', '\n']) == font_manager.findfont('DejaVu Sans')
