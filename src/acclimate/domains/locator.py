"""Where rows are: ``file?key=value&key=value``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote
from zipfile import BadZipFile, ZipFile

from acclimate.errors import DataError, SettingsError

METADATA = ("metadata.csv", "metadata.jsonl")
"""Files that list those beside them, with what is known of each."""
_HEADER = 1 << 16
HUB = "hf:"
NOT = "!"
"""After a key: its values are left out."""


@dataclass(frozen=True)
class Locator:
    """A file, folder or hub data set, and what of it is meant.

    ``select`` maps each key to its values; values of one key mean *or*, keys mean *and*; ``key!=value`` leaves out
    what has the value. What a key means depends on the format:

    - NPZ: ``x`` and ``y`` name the arrays of inputs and labels; any other key selects rows by an array.
    - folders and zips of files: ``folder`` names a subfolder, ``name`` is a pattern of the file names
      (``{label}_{speaker}_{index}``); any other key selects rows by a field of the pattern or of the metadata.
    - images with masks: ``folder``, and ``legend`` says what the values of masks mean (`acclimate.domains.legends`);
      images with boxes: ``folder``, and any other key selects images by a field of ``annotations.json``.
    - zips of svmlight: ``member`` names the file inside; svmlight: ``features`` fixes the number of columns.
      Columns are counted from 0; in a file that counts from 1 the first column is empty.
    - hub data sets (``hf:NAME``): ``split`` and ``config``; any other key selects rows by a column.
    - tables: every key selects rows by a column.
    - series (modality series) of tables and NPZ: ``window`` and ``stride`` in steps; of tables ``time``, the column
      that orders steps; ``take=last`` is the last window of each recording. Any other key selects as above.

    Attributes:
        path: the path as written, or ``hf:NAME``.
        select: values by key, in the order written.
    """

    path: str
    select: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        pairs = [f"{quote(k, safe='!')}={quote(v, safe='/{}:,')}" for k, vs in self.select.items() for v in vs]
        return f"{self.path}?{'&'.join(pairs)}" if pairs else self.path

    @property
    def on_hub(self) -> bool:
        """Whether this names a hub data set instead of a path."""
        return self.path.startswith(HUB)

    @property
    def name(self) -> str:
        """File name and selection, for people."""
        if self.on_hub:
            return str(self)
        return str(Locator(Path(self.path).name or self.path, self.select))

    def one(self, key: str) -> str | None:
        """The value of a key that may be given once; None where absent.

        Raises:
            SettingsError: the key is repeated.
        """
        values = self.select.get(key, ())
        if len(values) > 1:
            raise SettingsError(f"{self}: '{key}' may be given once, found {', '.join(values)}")
        return values[0] if values else None

    def rows(self, *special: str) -> dict[str, tuple[str, ...]]:
        """The keys that select rows: all but the ``special`` ones of a format."""
        return {key: values for key, values in self.select.items() if key not in special}

    def existing(self) -> Path:
        """The path, which exists.

        Raises:
            DataError: there is no such file or folder.
        """
        path = Path(self.path).expanduser()
        try:
            path.stat()
        except PermissionError:
            raise DataError(f"{self.path}: no permission to read it") from None
        except (OSError, ValueError):
            raise DataError(f"{self.path}: no such file or folder (looked in {Path.cwd()})") from None
        return path


def column_of(key: str) -> str:
    """The column that a key selects by: that of ``load!``, which leaves out its values, is ``load``."""
    return key.removesuffix(NOT)


def parse(text: str | Path) -> Locator:
    """A locator from its text. A path that exists is taken as it is, question marks and all;
    else the part after the last ``?`` is the selection. Keys and values are percent-decoded, the path is not. A
    ``metadata.csv`` or ``metadata.jsonl`` that lists files (``file_name``) stands for its folder.

    Raises:
        SettingsError: the selection is not of the form ``key=value&key=value``.
    """
    if isinstance(text, Path) or _exists(text):
        return Locator(_listed(str(text)))
    path, mark, query = text.rpartition("?")
    if not mark:
        return Locator(text)
    select: dict[str, tuple[str, ...]] = {}
    for pair in query.split("&"):
        key, equals, value = pair.partition("=")
        if not equals or not key or not path:
            raise SettingsError(f"'{text}': '{pair}' is not of the form key=value (write FILE?key=value&key=value)")
        key = unquote(key)
        select[key] = (*select.get(key, ()), unquote(value))
    return Locator(_listed(path), select)


def named_label(place: object) -> str | None:
    """The array of labels that a locator of an NPZ file names with ``y=``, else ``y`` where the file has such an array;
    None for anything else.
    """
    if not isinstance(place, str) or ".npz" not in place:
        return None
    locator = parse(place)
    if "y" in locator.select or Path(locator.path).suffix.lower() != ".npz":
        return locator.one("y")
    try:
        with ZipFile(Path(locator.path).expanduser()) as archive:
            return "y" if "y.npy" in archive.namelist() else None
    except (OSError, BadZipFile):
        return None


def _listed(path: str) -> str:
    """The folder of a file that lists the files beside it, any other path as it is."""
    place = Path(path).expanduser()
    if place.name not in METADATA or not place.is_file():
        return path
    with place.open("rb") as stream:
        return str(Path(path).parent) if b"file_name" in stream.readline(_HEADER) else path


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError):
        return False
