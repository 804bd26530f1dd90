"""Predictions and pictures for many files."""
import warnings
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path

import cv2
import mmcv
import numpy as np
from tqdm import tqdm

from dicenet_mm.errors import UserError
from dicenet_mm.evaluation import save_mask

from .inferencer import Inferencer
from .inputs import VIDEOS


def annotate(inferencer: Inferencer, files: Sequence[Path], out_dir: Path, score_thr: float = 0.3,
             batch_size: int = 1) -> list[dict]:
    """Predict on images and videos, and save each with its predictions drawn into it.

    Args:
        inferencer: The model.
        files: Images and videos. Unreadable ones are left out with a warning.
        out_dir: Where ``<name>.jpg`` and ``<name>.mp4`` go, and masks as ``<name>.png`` and, of videos,
            ``<name>_masks/<frame>.png``.
        score_thr: Predictions below it are left out.
        batch_size: Images at a time; no more are held in memory.

    Returns:
        One entry an image or frame: ``{'input': path, 'frame': index (videos only), 'width': px, 'height': px, ...}``.

    Raises:
        UserError: If none of the files can be read, or the results would be written over them.
    """
    videos = [file for file in files if file.suffix.lower() in VIDEOS]
    images = [file for file in files if file not in videos]
    names = _output_names(files)
    _require_apart(files, out_dir)
    predictions = []

    def predict(frames: Iterator[tuple[dict, np.ndarray]]) -> Iterator[tuple[dict, np.ndarray]]:
        """Pictures, in batches, as their predictions are noted."""
        while batch := list(islice(frames, batch_size)):
            samples = inferencer.predict([image for _, image in batch])
            for (entry, image), sample in zip(batch, samples):
                height, width = image.shape[:2]
                predictions.append(dict(**entry, width=width, height=height, **inferencer.plain(sample, score_thr)))
                if 'pred_sem_seg' in sample:
                    frame = f'_masks/{entry["frame"]:06d}' if 'frame' in entry else ''
                    save_mask(sample.pred_sem_seg.data.squeeze().numpy(force=True),
                              inferencer.dataset_meta.get('palette'),
                              out_dir / f'{names[Path(entry["input"])]}{frame}.png')
                yield entry, inferencer.draw(image, sample, score_thr)

    for entry, picture in predict(_read_images(tqdm(images, desc='images', disable=None if images else True))):
        mmcv.imwrite(picture, str(out_dir / f'{names[Path(entry["input"])]}.jpg'))
    for video in videos:
        reader = cv2.VideoCapture(str(video))
        frames = tqdm(_read_frames(video, reader), desc=video.name, unit='frame', disable=None,
                      total=int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) or None)
        writer = None
        for _, picture in predict(iter(frames)):
            if writer is None:
                writer = cv2.VideoWriter(str(out_dir / f'{names[video]}.mp4'), cv2.VideoWriter_fourcc(*'mp4v'),
                                         reader.get(cv2.CAP_PROP_FPS) or 25, picture.shape[1::-1])
            writer.write(np.ascontiguousarray(picture))
        if writer is None:
            warnings.warn(f'{video} cannot be read as a video: it is left out', stacklevel=2)
        else:
            writer.release()
        reader.release()
    if not predictions:
        raise UserError(f'none of the files can be read: {", ".join(map(str, files[:5]))}')
    return predictions


def _read_images(files: Sequence[Path]) -> Iterator[tuple[dict, np.ndarray]]:
    for file in files:
        image = cv2.imread(str(file))
        if image is None:
            warnings.warn(f'{file} cannot be read as an image: it is left out', stacklevel=2)
        else:
            yield dict(input=str(file)), image


def _read_frames(video: Path, reader: cv2.VideoCapture) -> Iterator[tuple[dict, np.ndarray]]:
    for index in count():
        more, image = reader.read()
        if not more:
            return
        yield dict(input=str(video), frame=index), image


def _require_apart(files: Sequence[Path], out_dir: Path) -> None:
    for file in files:
        if file.resolve().parent == out_dir.resolve():
            raise UserError(f'{file} lies in {out_dir}, where results would be written over it: give another --out-dir')


def _output_names(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each file's result: its own, numbered where two files of different folders share it."""
    names, taken = {}, set()
    for file in files:
        name = next(name for number in count(1) if (name := file.stem if number == 1 else f'{file.stem}_{number}')
                    not in taken)
        taken.add(name)
        names[file] = name
    return names
