"""Predictions and pictures for many files."""
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

import cv2
import mmcv
import numpy as np
from tqdm import tqdm

from dicenet_mm.errors import UserError
from dicenet_mm.evaluation import save_mask

from .arrays import read_image
from .inferencer import Inferencer
from .inputs import VIDEOS, require_apart

RESULTS = 'predictions.json'


def annotate(inferencer: Inferencer, files: Sequence[Path], out_dir: Path, score_thr: float = 0.3,
             batch_size: int = 1) -> list[dict]:
    """Predict on images and videos, and save each with its predictions drawn into it.

    Args:
        inferencer: The model.
        files: Images and videos. Unreadable ones are named and left out.
        out_dir: Where ``predictions.json``, ``<name>.jpg`` and ``<name>.mp4`` go, and masks as ``<name>.png`` and, of
            videos, ``<name>_masks/<frame>.png``. The JSON file is whole after every image.
        score_thr: Predictions below it are left out.
        batch_size: Images at a time; no more are held in memory.

    Returns:
        One entry an image or frame: ``{'input': path, 'frame': index (videos only), 'output': file in out_dir,
        'width': px, 'height': px, ...}``.

    Raises:
        UserError: If none of the files can be read, or the results would be written over them.
    """
    videos = [file for file in files if file.suffix.lower() in VIDEOS]
    images = [file for file in files if file not in videos]
    names = _output_names(files)
    require_apart(files, out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    predictions = _Results(out_dir / RESULTS)

    def predict(frames: Iterator[tuple[dict, np.ndarray]]) -> Iterator[tuple[dict, np.ndarray]]:
        """Pictures, in batches, as their predictions are noted."""
        while batch := list(islice(frames, batch_size)):
            samples = inferencer.predict([image for _, image in batch])
            for (entry, image), sample in zip(batch, samples):
                name, (height, width) = names[Path(entry['input'])], image.shape[:2]
                if 'pred_sem_seg' in sample:
                    frame = f'_masks/{entry["frame"]:06d}' if 'frame' in entry else ''
                    save_mask(sample.pred_sem_seg.data.squeeze(0).numpy(force=True),
                              inferencer.dataset_meta.get('palette'), out_dir / f'{name}{frame}.png')
                yield entry, inferencer.draw(image, sample, score_thr)
                predictions.append(dict(
                    **entry, output=f'{name}.{"mp4" if "frame" in entry else "jpg"}', width=width, height=height,
                    **inferencer.plain(sample, score_thr)))

    for entry, picture in predict(_read_images(tqdm(images, desc='images', disable=None if images else True))):
        mmcv.imwrite(picture, str(out_dir / f'{names[Path(entry["input"])]}.jpg'))
    for video in videos:
        reader = cv2.VideoCapture(str(video))
        frames = tqdm(_read_frames(video, reader), desc=video.name, unit='frame', disable=None,
                      total=max(0, int(reader.get(cv2.CAP_PROP_FRAME_COUNT))) or None)
        writer = None
        try:
            for _, picture in predict(iter(frames)):
                if writer is None:
                    writer = cv2.VideoWriter(str(out_dir / f'{names[video]}.mp4'), cv2.VideoWriter_fourcc(*'mp4v'),
                                             reader.get(cv2.CAP_PROP_FPS) or 25, picture.shape[1::-1])
                writer.write(np.ascontiguousarray(picture))
        finally:
            reader.release()
            if writer is not None:
                writer.release()
        if writer is None:
            tell(f'{video} cannot be read as a video: it is left out')
    if not predictions:
        raise UserError(f'none of the files can be read: {", ".join(map(str, files[:5]))}')
    return list(predictions)


def clear_results(out_dir: Path) -> None:
    """Delete what an earlier run of :func:`annotate` wrote into a folder, by its ``predictions.json``; nothing else."""
    file = out_dir / RESULTS
    try:
        entries = json.loads(file.read_text())
        outputs = {entry['output'] for entry in entries if Path(entry['output']).name == entry['output']}
    except (OSError, ValueError, TypeError, KeyError):
        outputs = set()
    for name in outputs:
        (out_dir / name).unlink(missing_ok=True)
        (out_dir / name).with_suffix('.png').unlink(missing_ok=True)
        shutil.rmtree(out_dir / f'{Path(name).stem}_masks', ignore_errors=True)
    file.unlink(missing_ok=True)


def tell(note: str) -> None:
    """Say something beside a progress bar."""
    tqdm.write(f'note: {note}', file=sys.stderr)


class _Results(list):
    """Entries that are in a JSON file, a list, from the moment they are appended."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def append(self, entry: dict) -> None:
        text = json.dumps(entry, ensure_ascii=False, indent=1)
        with open(self.path, 'r+b' if self else 'wb') as file:
            if self:
                file.seek(-2, 2)  # before the end of the list
            file.write(f'{"," if self else "["}\n{text}\n]'.encode())
        super().append(entry)


def _read_images(files: Sequence[Path]) -> Iterator[tuple[dict, np.ndarray]]:
    for file in files:
        try:
            yield dict(input=str(file)), read_image(file)
        except UserError as error:
            tell(f'{error}: it is left out')


def _read_frames(video: Path, reader: cv2.VideoCapture) -> Iterator[tuple[dict, np.ndarray]]:
    for index in count():
        more, image = reader.read()
        if not more:
            return
        yield dict(input=str(video), frame=index), image


def _output_names(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each file's result: its own, numbered where two files of different folders share it."""
    names, taken = {}, set()
    for file in files:
        name = next(name for number in count(1) if (name := file.stem if number == 1 else f'{file.stem}_{number}')
                    not in taken)
        taken.add(name)
        names[file] = name
    return names
