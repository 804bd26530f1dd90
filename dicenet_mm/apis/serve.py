"""A page in the browser that shows what models find in pictures."""
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from dicenet_mm.errors import UserError
from dicenet_mm.extras import require

from .inferencer import Inferencer
from .trained import find_model, trained_models

#: By default_scope.
TASKS = dict(mmdet='detection', mmseg='segmentation', mmpretrain='classification')
MAX_SIDE = 1600  # px of the picture that is shown; networks take far smaller ones
LOADED = 4  # models that are kept in memory


def shown_models(weights: str | None = None, name: str | None = None) -> dict[str, Path]:
    """Checkpoints by name: the one that is given, or all that were trained in ``work_dirs``, the newest first.

    Raises:
        UserError: If there is no such model, or none at all.
    """
    if weights:
        return {Path(weights).stem: Path(weights)}
    if name:
        return {name: find_model(name)}
    found = trained_models()
    if not found:
        raise UserError('there is no model to show in work_dirs: give --weights CHECKPOINT, or train one (make '
                        'quickstart)')
    return found


class Page:
    """What the page does, without the page: models by name, and an answer for a picture.

    Args:
        models: Checkpoints by name, one at least.
        load: Makes an :class:`Inferencer` of a checkpoint.

    Raises:
        UserError: If a checkpoint cannot be read.
    """

    def __init__(self, models: dict[str, Path], load: Callable[[str], Inferencer]):
        self.models = models
        self.inferencer = lru_cache(LOADED)(lambda name: load(str(models[name])))
        self.tasks = {name: TASKS.get(self.inferencer(name).network.default_scope, 'detection') for name in models}

    def of_task(self, task: str) -> list[str]:
        """Names of the models for a task."""
        return [name for name, its in self.tasks.items() if its == task]

    def answer(self, file: str | None, name: str, score_thr: float) -> tuple[np.ndarray, list[list], str]:
        """The picture with what was found drawn into it, (H, W, 3) uint8 in RGB; rows of a table; a sentence.

        Args:
            file: A picture, in any format that OpenCV reads.
            name: Of the model.
            score_thr: Detections and labels below it are left out.

        Raises:
            UserError: If there is no picture, or the file is none.
        """
        if not file:
            raise UserError('choose a picture first')
        image = cv2.imread(file)
        if image is None:
            raise UserError(f'{Path(file).name} cannot be read as a picture: it may be cut off, or another kind of '
                            'file')
        height, width = image.shape[:2]
        if max(height, width) > MAX_SIDE:
            scale = MAX_SIDE / max(height, width)
            image = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        inferencer = self.inferencer(name)
        start = time.perf_counter()
        sample, = inferencer.predict([image])
        milliseconds = 1e3 * (time.perf_counter() - start)
        found = inferencer.plain(sample, score_thr)
        picture = np.ascontiguousarray(inferencer.draw(image, sample, score_thr)[..., ::-1])
        said = f'{width} x {height} px, {milliseconds:.0f} ms from the picture to the answer'
        return picture, rows_of(found), said


def rows_of(found: dict) -> list[list]:
    """What :meth:`Inferencer.plain` gives, as rows of a label and a number in percent."""
    entries, = found.values()
    return [[entry['label'], round(100 * (entry['share'] if 'share' in entry else entry['score']), 1)]
            for entry in entries]


def blocks(page: Page):
    """The page, as Gradio's blocks."""
    gradio = require('gradio', 'serve', '--serve')
    tasks = list(dict.fromkeys(page.tasks.values()))

    def answer(*args):
        try:
            return page.answer(*args)
        except UserError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    def models_of(task):
        names = page.of_task(task)
        return gradio.update(choices=names, value=names[0]), gradio.update(visible=task != 'segmentation')

    with gradio.Blocks(title='dicenet_mm', analytics_enabled=False) as made:
        gradio.Markdown('# dicenet_mm')
        with gradio.Row():
            with gradio.Column(scale=1, min_width=280):
                file = gradio.File(label='Picture: drop it here, or click', height=160)
                task = gradio.Radio(tasks, value=tasks[0], label='Task')
                name = gradio.Dropdown(page.of_task(tasks[0]), label='Model')
                threshold = gradio.Slider(0, 1, 0.3, step=0.05, label='Leave out what scores less than',
                                          visible=tasks[0] != 'segmentation')
                button = gradio.Button('Show', variant='primary')
            with gradio.Column(scale=2, min_width=280):
                picture = gradio.Image(label='What was found', interactive=False, format='jpeg')
                said = gradio.Markdown()
                table = gradio.Dataframe(headers=['what', '%'], datatype=['str', 'number'], interactive=False,
                                         label='% is the score, or of a mask the share of the pixels')
        task.input(models_of, task, [name, threshold])
        for change in (file.upload, button.click, threshold.release, name.input):
            change(answer, [file, name, threshold], [picture, table, said])
    return made


def serve(models: dict[str, Path], load: Callable[[str], Inferencer], host: str = '127.0.0.1', port: int = 7860,
          block: bool = True):
    """Show the page until the keyboard stops it.

    Args:
        models: Checkpoints by name.
        load: Makes an :class:`Inferencer` of a checkpoint.
        host: Address to listen on; other machines reach the page only if it is one of theirs to reach.
        port: To listen on; 0 for a free one.
        block: Whether to wait.

    Returns:
        The address of the page.

    Raises:
        UserError: If Gradio is not installed, a model cannot be read, or the port is taken.
    """
    gradio = require('gradio', 'serve', '--serve')
    made = blocks(Page(models, load))
    # fonts of the machine: the page loads nothing from elsewhere
    theme = gradio.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace'])
    try:
        _, address, _ = made.launch(server_name=host, server_port=port or None, share=False, quiet=True, theme=theme,
                                    prevent_thread_lock=True, show_error=True, inbrowser=False)
    except OSError as error:
        raise UserError(f'port {port} of {host} cannot be used ({error}): give another one with --port') from error
    print(f'the page is at {address} (Ctrl+C ends it)', flush=True)
    if block:
        made.block_thread()
    return address
