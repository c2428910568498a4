"""A file on a disk that gets full."""

from typing import Any, BinaryIO

from attrs import frozen


@frozen
class FullFile:
    """The file, while there are ``room[0]`` bytes; files of one disk share their ``room``."""

    _file: BinaryIO
    room: list[int]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: memoryview) -> int:
        """What fits of it, as a raw file does. Raises OSError when nothing fits."""
        part = data[: self.room[0]]
        if data and not part:
            raise OSError(28, "No space left on device")
        self.room[0] -= len(part)
        return self._file.write(part)
