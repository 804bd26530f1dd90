"""Docstrings as the site's generator reads them."""
import re

import griffe

RULE = r'=+(?: +=+)+'
TABLE = re.compile(rf'^({RULE}\n(?:.+\n)+?{RULE}\n(?:.+\n)+?{RULE})$', re.MULTILINE)


class Plain(griffe.Extension):
    """Examples under the heading that is known as one, tables as they stand, cross references as code."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring:
            text = re.sub(r'^Example:$', 'Examples:', obj.docstring.value, flags=re.MULTILINE)
            text = TABLE.sub(r'```text\n\1\n```', text)
            obj.docstring.value = re.sub(r':(?:func|class|meth|data|mod):(?=`)', '', text)
