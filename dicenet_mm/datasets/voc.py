"""PASCAL VOC's XML files, read as annotations whatever tool wrote them."""
import os
import xml.etree.ElementTree as ET
from pathlib import Path

from dicenet_mm.errors import UserError

from .annotations import Annotations
from .files import Stems, class_name, read_lines, read_xml
from .images import IMAGE_SUFFIXES

YES, NO = {'1', 'true', 'yes', 'y', 't'}, {'', '0', 'false', 'no', 'n', 'f', 'none', 'unspecified'}


def read_voc(list_file: str | Path, xmls: str | Path, images: str | Path) -> tuple[Annotations, list[str]]:
    """The images and boxes that a list names, and the paths of their XML files.

    Args:
        list_file: Names of images without suffix, one a line; blank lines do not count.
        xmls: The folder of the XML files, or of folders of them.
        images: The same of the images, which may have any suffix.

    Raises:
        UserError: If an annotation is missing or cannot be read.
    """
    xml_of, image_of = Stems(xmls, ('.xml',)), Stems(images, IMAGE_SUFFIXES)
    classes, names, ids, sizes, rows, paths = {}, [], [], [], [], []
    for name in dict.fromkeys(read_lines(list_file)):
        name = bare_name(name, xml_of)
        path = os.path.join(xmls, xml_of.find(name) or f'{name}.xml')
        if not os.path.isfile(path):
            raise UserError(f'there is no annotation {path}: each name in a list of ImageSets/Main (one a line, '
                            'without folder or suffix) needs one')
        size, objects = read_annotation(path)
        for thing, difficult, corners in objects:
            rows.append((len(names), classes.setdefault(thing, len(classes)), *corners, 0, difficult))
        # XML beside its image is named from another folder than the images may be: as the XML, where that is there
        names.append(image_of.find(name) or f'{name}.jpg')
        ids.append(name)
        sizes.append(size)
        paths.append(path)
    return Annotations.of_rows(str(list_file), tuple(classes), names, ids, sizes, rows), paths


def bare_name(name: str, stems: Stems) -> str:
    """A name from a list, without the suffix of an image or the label that some lists have behind it."""
    name = name.replace('\\', '/')
    if stems.find(name):
        return name
    first = name.split()[0]
    for candidate in (first, os.path.splitext(first)[0], os.path.splitext(name)[0]):
        if stems.find(candidate):
            return candidate
    return name


def read_annotation(path: str | Path) -> tuple[tuple[int, int], list[tuple[str, bool, list[float]]]]:
    """Width and height, 0 where they are not noted, and the objects: name, whether difficult, and x1, y1, x2, y2.

    VOC counts pixels from 1; here they are counted from 0.

    Raises:
        UserError: If the file cannot be read or is no annotation.
    """
    root = read_xml(path)
    try:
        size = tuple(_side(root.findtext(f'size/{side}')) for side in ('width', 'height'))
        objects = [_object(entry) for entry in root.iter('object')]
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f'{path} is not a VOC annotation ({error}): each object needs a name and a bndbox of xmin, '
                        'ymin, xmax, ymax') from None
    if any(not name for name, _, _ in objects):
        raise UserError(f'{path} has an object without a name: give it one, or take the object out')
    return size, objects


def _object(entry: ET.Element) -> tuple[str, bool, list[float]]:
    difficult = (entry.findtext('difficult') or '').strip().lower()
    if difficult not in YES | NO:
        difficult = '1' if float(difficult) > 0 else '0'
    box = entry.find('bndbox')
    if box is None:
        raise ValueError('an object has no bndbox')
    corners = [box.findtext(side) for side in ('xmin', 'ymin', 'xmax', 'ymax')]
    return class_name(entry.findtext('name')), difficult in YES, [float(corner) - 1 for corner in corners]


def _side(text: str | None) -> int:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return 0
    return int(value) if 1 <= value < 2**31 else 0
