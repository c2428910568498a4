"""Archives as an engine makes them of /out, and as no engine would."""

import io
import tarfile
from collections.abc import Iterable

END = bytes(1024)


def entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """One member; the name is as it stands in the archive."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(content), link
    return info, content


def packed(entries: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """The archive of the members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def out(**files: bytes) -> bytes:
    """What a program left that wrote these files into /out."""
    return packed([entry("out", kind=tarfile.DIRTYPE), *(entry(f"out/{name}", content) for name, content in files.items())])
