"""What strangers' checkpoint files try."""
import pickle
import zipfile


class Reduced:
    """Unpickles as function(*arguments)."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


class Named:
    """Pickles as any global name, whatever there is under it."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Pickler(pickle._Pickler):
    """Python's own pickler, which takes :class:`Named`."""

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Named):
            self.write(b'c' + f'{obj.module}\n{obj.name}\n'.encode())
            self.memoize(obj)
        else:
            super().save(obj, save_persistent_id)


def rewrite(source, target, change, compression=zipfile.ZIP_STORED):
    """Copy a file of torch.save with each part as ``change(name, content)`` gives it."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, 'w', compression) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
