"""``dicenet_mm COMMAND ...``: the files of ``tools/``, from any folder.

It stands beside the package, whose import takes seconds: a mistyped option is told before these.
"""
import ast
import os
import sys
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

FIRST = ('train', 'test', 'demo', 'export', 'models')  # of the list of commands


def tools() -> dict[str, Path]:
    """The commands by name."""
    package = Path(next(iter(find_spec('dicenet_mm').submodule_search_locations)))
    root = package / '.mim/tools'  # of a wheel; in a checkout they lie beside the package
    root = root if root.is_dir() else package.parent / 'tools'
    files = [*root.glob('*.py'), *root.glob('analysis/*.py'), *root.glob('dataset_converters/*.py')]
    found = {file.stem: file for file in sorted(files) if "if __name__ == '__main__'" in file.read_text('utf-8')}
    return {name: found[name] for name in sorted(found, key=lambda name: (FIRST + (name,)).index(name))}


def main() -> None:
    """Run the command that the first argument names."""
    known, name = tools(), sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name in ('-h', '--help'):
        lines = (f'  {name:18} {ast.get_docstring(ast.parse(file.read_text("utf-8"))).splitlines()[0]}'
                 for name, file in known.items())
        print('usage: dicenet_mm COMMAND ...\n', *lines, '\ndicenet_mm COMMAND --help says more of each.', sep='\n')
        return
    if name not in known:
        near = get_close_matches(name, known, n=1)
        sys.exit(f'error: there is no command {name}' + (f': did you mean {near[0]}?' if near else '') +
                 ' ("dicenet_mm --help" lists them)')
    file = known[name]
    sys.argv[:2] = [f'dicenet_mm {name}']
    sys.path.insert(0, os.fspath(file.parent))  # as for a script: it imports what lies beside it
    # not runpy, which puts the path of the file in place of what was typed
    exec(compile(file.read_text('utf-8'), file, 'exec'), dict(__name__='__main__', __file__=os.fspath(file)))
