"""What the site adds to the pages of this folder: see mkdocs.yml."""
import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Pages that are files of the checkout, by their name on the site.
ELSEWHERE = {'contributing.md': 'CONTRIBUTING.md', 'changelog.md': 'CHANGELOG.md'}
#: Sections of the table of error sentences, by the folder that raises them.
PARTS = {'apis/user_data': 'Your own data', 'datasets': 'Data sets and annotations', 'checkpoint': 'Checkpoints',
         'zoo': 'Published weights', 'export': 'Export', 'apis': 'Commands', 'models': 'Networks', '': 'Elsewhere'}


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Fill in what is made, and name files of the checkout instead of linking out of the site."""
    name = page.file.src_uri
    if name in ELSEWHERE:
        markdown = (ROOT / ELSEWHERE[name]).read_text()
        markdown = markdown.replace('](docs/', '](')
        markdown = re.sub(r'\[([^\]]+)\]\((?!https?:|#|mailto:)(?![\w/]+\.md)[^)]*\)', r'`\1`', markdown)
    if name == 'troubleshooting.md':
        markdown += error_sentences()
    return re.sub(r'\[([^\]]+)\]\(\.\./[^)]*\)', lambda link: f'`{link[1].strip("`")}`', markdown)


def error_sentences() -> str:
    """The sentences that the commands end with, as a list a section, made from the code."""
    found = {title: [] for title in PARTS.values()}
    for path in sorted((ROOT / 'dicenet_mm').rglob('*.py')):
        place = path.relative_to(ROOT / 'dicenet_mm').as_posix()
        title = next(title for part, title in PARTS.items() if place.startswith(part))
        for node in ast.walk(ast.parse(path.read_text())):
            if (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args
                    and getattr(node.exc.func, 'id', '') == 'UserError'):
                sentence = _text(node.exc.args[0])
                if len(sentence) > 20:
                    found[title].append(sentence)
    return ''.join(f'\n\n## {title}\n\n' + '\n'.join(f'- {sentence}' for sentence in dict.fromkeys(sentences))
                   for title, sentences in found.items() if sentences)


def _text(node: ast.AST) -> str:
    """The words of a string in the code, with … for what is filled in."""
    if isinstance(node, ast.Constant):
        return re.sub(r'([<>*_`\[\]|])', r'\\\1', ' '.join(str(node.value).split('\n')))
    if isinstance(node, ast.JoinedStr):
        return ''.join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return _text(node.body)
    return '…'
