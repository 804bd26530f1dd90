"""Predictions and pictures for many inputs."""
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import count, groupby, islice
from pathlib import Path
from typing import NamedTuple

import cv2
import mmcv
import numpy as np
from mmengine.structures import BaseDataElement
from tqdm import tqdm

from dicenet_mm.errors import UserError
from dicenet_mm.evaluation import save_mask

from . import window
from .frames import Video, read_picture
from .inferencer import Inferencer
from .inputs import STDIN, find_inputs, is_moving, read_stdin, require_apart, shown, stem
from .results import RESULTS, Results

BAR = '{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}]'


class Found(NamedTuple):
    """What was found in one picture: as plain data, as a data sample, and drawn, (H, W, 3) uint8 in BGR."""
    entry: dict
    sample: BaseDataElement
    picture: np.ndarray


def annotate(inferencer: Inferencer, inputs: Iterable, out_dir: str | Path | None = None, score_thr: float = 0.3,
             batch_size: int = 1, show: bool = False) -> Iterator[Found]:
    """Predict on pictures, films and streams, and save each with its predictions drawn into it.

    Args:
        inferencer: The model.
        inputs: As :func:`dicenet_mm.apis.inputs.find_inputs` gives them. What cannot be read is named and left out.
        out_dir: Where ``predictions.json``, ``<name>.jpg`` and ``<name>.mp4`` go, and masks as ``<name>.png`` and, of
            videos, ``<name>_masks/<frame>.png``. The JSON file is whole after every image. Nothing that is there is
            written over. None saves nothing.
        score_thr: Predictions below it are left out.
        batch_size: Images at a time; no more are held in memory.
        show: Whether to show each picture in a window; a single one until a key is pressed, q ends all.

    Yields:
        :class:`Found`, as it is found. Its entry is ``{'input': path, 'frame': index (videos only), 'output': file in
        out_dir, 'width': px, 'height': px, ...}``. A film or stream is whole once the next one begins.

    Raises:
        UserError: If none of the inputs can be read, or the results would be written over them.
    """
    saver = _Saver(inferencer, Path(out_dir)) if out_dir else None
    if show:
        try:
            window.require_display()
        except UserError as error:
            show = False
            tell(f'{error}: no window is shown' + ('' if saver is None else f', the results are in {out_dir}'))
    read, failed = 0, []
    # how many there are can be told then; what comes from standard input is taken as it comes
    unknown = not isinstance(inputs, list) or any(isinstance(entry, str) and entry == STDIN for entry in inputs)
    taken = iter if unknown else list
    try:
        for moving, group in groupby(_unfolded(inputs), is_moving):
            done = (_videos if moving else _images)(inferencer, taken(group), saver, score_thr, batch_size, failed)
            for found in done:
                read += 1
                going = not show or window.show(found.picture, stay=not moving)
                yield found
                if not going:
                    return
    finally:
        if show:
            cv2.destroyAllWindows()
    if not read:
        raise UserError(f'none of the files can be read: {", ".join(failed[:5]) or "there is none"}')


def _unfolded(inputs: Iterable) -> Iterator:
    for entry in inputs:
        if isinstance(entry, str) and entry == STDIN:
            for line in read_stdin():
                try:
                    yield from find_inputs([line])
                except UserError as error:
                    tell(f'{error}: it is left out')
        else:
            yield entry


def _predicted(inferencer: Inferencer, frames: Iterator[tuple[dict, np.ndarray]], score_thr: float,
               batch_size: int) -> Iterator[Found]:
    while batch := list(islice(frames, batch_size)):
        samples = inferencer.predict([image for _, image in batch])
        for (entry, image), sample in zip(batch, samples):
            height, width = image.shape[:2]
            yield Found(dict(**entry, width=width, height=height, **inferencer.plain(sample, score_thr)), sample,
                        inferencer.draw(image, sample, score_thr))


def _images(inferencer: Inferencer, entries: Iterable, saver: '_Saver | None', score_thr: float, batch_size: int,
            failed: list[str]) -> Iterator[Found]:
    """Single pictures, in batches."""
    stems = []

    def pictures() -> Iterator[tuple[dict, np.ndarray]]:
        for index, entry in enumerate(tqdm(entries, desc='images', unit=' images', disable=None)):
            named = isinstance(entry, (str, Path))
            if saver and named:
                require_apart([entry], saver.folder)
            try:
                image = read_picture(entry)
            except UserError as error:
                failed.append(shown(entry) if named else f'image {index}')
                tell(f'{error}: it is left out')
                continue
            stems.append(stem(entry) if named else f'{index:06d}')
            yield dict(input=shown(entry) if named else f'{type(entry).__name__} {index}'), image

    for found in _predicted(inferencer, pictures(), score_thr, batch_size):
        yield saver.picture(found, stems.pop(0)) if saver else found


def _videos(inferencer: Inferencer, entries: Iterable, saver: '_Saver | None', score_thr: float, batch_size: int,
            failed: list[str]) -> Iterator[Found]:
    for entry in entries:
        name, start, frames = shown(entry), time.monotonic(), 0
        if saver:
            require_apart([entry], saver.folder)
        try:
            video = Video(entry)
        except UserError as error:
            failed.append(name)
            tell(f'{error}: it is left out')
            continue
        with video:
            if video.live:
                tell(f'{name} goes on until you stop it with Ctrl+C')
            bar = tqdm(video, desc=Path(name).name, unit=' frames', bar_format=BAR, total=video.total, disable=None)
            film = saver.film(stem(entry), video.rate) if saver else None
            try:
                for found in _predicted(inferencer, (
                        (dict(input=name, frame=index), image) for index, image in bar), score_thr, batch_size):
                    frames += 1
                    yield film.add(found) if film else found
            except KeyboardInterrupt:
                if not video.live:
                    raise
            finally:
                bar.close()
                if film:
                    film.close()
        if not frames:
            failed.append(name)
            tell(f'{name} cannot be read as a video: it is left out')
        else:
            print(f'{name}: {frames} frames, {frames / (time.monotonic() - start):.1f} a second'
                  f'{f", in {film.file}" if film else ""}', flush=True)


class _Saver:
    """Writes what was found into a folder, under names that nothing there has."""

    def __init__(self, inferencer: Inferencer, folder: Path):
        self.inferencer, self.folder = inferencer, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.taken = {entry.stem.lower() for entry in folder.iterdir()}
        self.results = Results(folder / RESULTS)

    def name(self, wanted: str) -> str:
        """The name, numbered where it is taken; small and capital letters are one on some disks."""
        name = next(name for number in count(1)
                    if (name := wanted if number == 1 else f'{wanted}_{number}').lower() not in self.taken)
        self.taken.add(name.lower())
        return name

    def mask(self, found: Found, file: str) -> None:
        if 'pred_sem_seg' in found.sample:
            save_mask(found.sample.pred_sem_seg.data.squeeze(0).numpy(force=True),
                      self.inferencer.dataset_meta.get('palette'), self.folder / file)

    def noted(self, found: Found, output: str) -> Found:
        """The same with its output in its entry, which the JSON file has then."""
        entry = {}
        for key, value in found.entry.items():
            if key == 'width':
                entry['output'] = output
            entry[key] = value
        self.results.append(entry)
        return found._replace(entry=entry)

    def picture(self, found: Found, wanted: str) -> Found:
        name = self.name(wanted)
        self.mask(found, f'{name}.png')
        mmcv.imwrite(found.picture, str(self.folder / f'{name}.jpg'))
        return self.noted(found, f'{name}.jpg')

    def film(self, wanted: str, rate: float) -> '_Film':
        return _Film(self, self.name(wanted), rate)


class _Film:
    """A video that is written frame by frame."""

    def __init__(self, saver: _Saver, name: str, rate: float):
        self.saver, self.name, self.rate, self.writer = saver, name, rate, None
        self.file = saver.folder / f'{name}.mp4'

    def add(self, found: Found) -> Found:
        """Write a frame.

        Raises:
            UserError: If OpenCV cannot write the file.
        """
        if self.writer is None:
            self.size = found.picture.shape[1::-1]
            self.writer = cv2.VideoWriter(str(self.file), cv2.VideoWriter_fourcc(*'mp4v'), self.rate, self.size)
            if not self.writer.isOpened():
                raise UserError(f'{self.file} cannot be written as a video by this OpenCV')
        picture = found.picture
        if picture.shape[1::-1] != self.size:  # some streams change their size
            picture = cv2.resize(picture, self.size)
        self.writer.write(np.ascontiguousarray(picture))
        self.saver.mask(found, f'{self.name}_masks/{found.entry["frame"]:06d}.png')
        return self.saver.noted(found, self.file.name)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.release()


def tell(note: str) -> None:
    """Say something beside a progress bar."""
    tqdm.write(f'note: {note}', file=sys.stderr)
