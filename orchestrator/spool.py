"""Capped files on local disk that hold a program's output until it is in object storage. Knows no container and no task."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from attrs import asdict, frozen

from orchestrator.ports import Chunk, Stream

_MANIFEST = "sealed.json"


@frozen
class Sealed:
    """A finished stream: ``bytes`` and ``sha256`` of the file, ``dropped`` bytes that came after the cap.

    ``complete`` is false when the container was lost before all of its output was read.
    """

    bytes: int
    sha256: str
    dropped: int
    complete: bool = True

    @property
    def truncated(self) -> bool:
        """Whether the file is less than the program wrote."""
        return self.dropped > 0 or not self.complete


class Spool:
    """The two files of one container, each holding the first ``cap`` bytes of a stream. One thread writes at a time."""

    def __init__(self, folder: Path, cap: int) -> None:
        self._folder = folder
        self._cap = cap
        self._files: dict[Stream, BinaryIO] = {}
        self._seen = dict.fromkeys(Stream, 0)
        self._hashes = {stream: hashlib.sha256() for stream in Stream}

    def open(self) -> None:
        """Begin anew with empty files; what an earlier run left in the folder is gone."""
        self.discard()
        self._folder.mkdir(parents=True, mode=0o700)
        self._files = {stream: self.path(stream).open("wb", buffering=0) for stream in Stream}

    def path(self, stream: Stream) -> Path:
        """Where a stream's bytes are."""
        return self._folder / stream

    def write(self, stream: Stream, data: bytes) -> bool:
        """Keep what fits below the cap; False once more than the cap has been seen. Raises OSError when the disk is full."""
        room = max(self._cap - self._seen[stream], 0)
        kept = data[:room]
        self._files[stream].write(kept)
        self._hashes[stream].update(kept)
        self._seen[stream] += len(data)
        return self._seen[stream] <= self._cap

    def close(self) -> None:
        """Close the files; the sums stay."""
        for file in self._files.values():
            file.close()

    @property
    def overflowed(self) -> bool:
        """Whether a stream passed the cap."""
        return any(seen > self._cap for seen in self._seen.values())

    def seal(self) -> dict[Stream, Sealed]:
        """Close the files and note their sums beside them, so that another process can go on from here."""
        self.close()
        return self._note({stream: self._sum(stream) for stream in Stream})

    def _note(self, sealed: dict[Stream, Sealed]) -> dict[Stream, Sealed]:
        draft = self._folder / f"{_MANIFEST}.new"
        draft.write_text(json.dumps({stream: asdict(sums) for stream, sums in sealed.items()}))
        draft.replace(self._folder / _MANIFEST)
        return sealed

    def refill(self, chunks: Iterable[Chunk]) -> dict[Stream, Sealed]:
        """Begin anew, take all of ``chunks`` and seal."""
        self.open()
        for stream, data in chunks:
            self.write(stream, data)
        return self.seal()

    def salvage(self) -> dict[Stream, Sealed]:
        """Seal whatever bytes are on disk, also those of a process that died, as incomplete."""
        self.close()
        self._folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        return self._note({stream: self._measure(stream) for stream in Stream})

    def sealed(self) -> dict[Stream, Sealed] | None:
        """What ``seal`` noted, here or in an earlier process; None when it did not, or a file no longer has its size."""
        try:
            noted = json.loads((self._folder / _MANIFEST).read_text())
            sums = {stream: Sealed(**noted[stream]) for stream in Stream}
            intact = all(self.path(stream).stat().st_size == sums[stream].bytes for stream in Stream)
        except (OSError, ValueError):
            return None
        return sums if intact else None

    def discard(self) -> None:
        """Remove the folder; nothing when it is gone."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._seen = dict.fromkeys(Stream, 0)
        self._hashes = {stream: hashlib.sha256() for stream in Stream}

    def _sum(self, stream: Stream) -> Sealed:
        kept = min(self._seen[stream], self._cap)
        return Sealed(kept, self._hashes[stream].hexdigest(), self._seen[stream] - kept)

    def _measure(self, stream: Stream) -> Sealed:
        path = self.path(stream)
        path.touch()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        return Sealed(path.stat().st_size, digest.hexdigest(), dropped=0, complete=False)
