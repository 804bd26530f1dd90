"""Files from what a person types."""
import pytest

from dicenet_mm.apis import expand_inputs
from dicenet_mm.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'none').mkdir()
    for name in ('b.jpg', 'a.PNG', 'notes.txt', 'film.mp4'):
        (tmp_path / 'photos' / name).touch()


@pytest.mark.parametrize('inputs,expected', [
    (['photos'], ['a.PNG', 'b.jpg', 'film.mp4']),
    (['photos/*.jpg'], ['b.jpg']),
    (['photos/film.mp4', 'photos', 'photos/b.jpg'], ['film.mp4', 'a.PNG', 'b.jpg']),
    (['**/*'], ['a.PNG', 'b.jpg', 'film.mp4']),
])
def test_expands(folder, inputs, expected):
    assert [path.name for path in expand_inputs(inputs)] == expected


@pytest.mark.parametrize('name,message', [
    ('none', 'no image or video in none'), ('c.jpg', 'no file c.jpg'), ('photos/notes.txt', 'neither an image'),
    ('*.gif', 'matches none')])
def test_refuses(folder, name, message):
    with pytest.raises(UserError, match=message):
        expand_inputs([name])
