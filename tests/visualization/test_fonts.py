"""Letters that a font has, found by drawing them."""
import numpy as np
import pytest
from matplotlib.font_manager import findfont, fontManager, get_font
from PIL import Image, ImageDraw, ImageFont

from dicenet_mm.visualization.fonts import _legible, legible


def draw(font, text):
    image = Image.new('L', (400, 60))
    ImageDraw.Draw(image).text((5, 5), text, font=ImageFont.truetype(font, 30), fill=255)
    return np.asarray(image)


def test_usual_names_stay():
    font, names = legible(('Bär', 'Ёлка', 'dining table', '[/b]olt', 'α'))
    assert 'DejaVuSans' in font and names == ['Bär', 'Ёлка', 'dining table', '[/b]olt', 'α']
    assert not np.array_equal(draw(font, 'Ё'), draw(font, '\U0010fffd'))  # which no font has


def test_names_without_a_font_are_numbers(monkeypatch):
    monkeypatch.setattr(fontManager, 'ttflist', [])
    _legible.cache_clear()
    with pytest.warns(UserWarning, match='no installed font has the letters of 螺栓: 1 names are drawn'):
        font, names = legible(('nut', '螺栓'))
    assert names == ['nut', 'class 1']
    _legible.cache_clear()


def test_a_font_that_has_the_letters_is_taken():
    """A letter of one of the fonts that come with matplotlib, which DejaVu Sans lacks."""
    letter = chr(min(set(get_font(findfont('STIXGeneral')).get_charmap()) -
                     set(get_font(findfont('DejaVu Sans')).get_charmap())))
    font, names = legible(('nut', letter))
    assert names == ['nut', letter] and 'STIX' in font
    assert not np.array_equal(draw(font, letter), draw(font, '\U0010fffd'))


def test_a_font_of_signs_for_scripts_is_not_taken():
    """matplotlib brings one, which claims to have every letter."""
    font, names = legible(('nut', '\U00012000'))  # cuneiform
    assert 'LastResort' not in font and names[0] == 'nut'
