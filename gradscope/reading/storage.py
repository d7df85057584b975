"""Files of this machine, and of remote storage such as `s3://bucket/logs`.

Remote storage is read and written through fsspec, which has a package for each
kind of storage. TensorFlow's own file systems would need TensorFlow to read,
and have had no S3 since it moved to tensorflow-io. TensorBoard without
TensorFlow uses fsspec, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Any


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Test whether a path is a URL."""
    return "://" in os.fspath(path)


def file_system(url: str) -> tuple[Any, str]:
    """Find the file system of a URL, and the URL's path there.

    Raises:
        ImportError: If a package is missing.
        ValueError: If nobody knows the protocol.
    """
    try:
        import fsspec
    except ImportError as error:
        raise ImportError(
            f"{url!r} is remote storage, which needs the package fsspec: "
            "`pip install fsspec`, and the one of its protocol, such as s3fs "
            "for s3:// or gcsfs for gs://. Or give a local directory."
        ) from error
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ImportError(
            f"{url!r} is remote storage of a protocol that needs another "
            f"package: {error}. Install it, or give a local directory."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{url!r} has a protocol that fsspec does not know: {error}. Give "
            "a local directory, or a URL such as s3://bucket/logs/run."
        ) from error
    # Another process may have written meanwhile.
    system.invalidate_cache()
    return system, path


def is_directory(path: str) -> bool:
    """Test whether a directory exists; remote ones have at least one file."""
    if not is_remote(path):
        return os.path.isdir(path)
    system, path = file_system(path)
    return bool(system.isdir(path))


def is_file(path: str) -> bool:
    """Test whether a file exists."""
    if not is_remote(path):
        return os.path.isfile(path)
    system, path = file_system(path)
    return bool(system.isfile(path))


def names_in(directory: str) -> list[str]:
    """List the names of the files and directories in a directory."""
    if not is_remote(directory):
        return os.listdir(directory)
    system, path = file_system(directory)
    entries = system.ls(path, detail=False)
    # Some kinds of storage end the names of directories in a slash.
    return [os.path.basename(entry.rstrip("/")) for entry in entries]


def files_below(directory: str) -> Iterator[str]:
    """Yield the paths of all files at and below a directory."""
    if is_remote(directory):
        system, path = file_system(directory)
        beginning = directory.rstrip("/")
        for file in system.find(path):
            yield beginning + file.removeprefix(path.rstrip("/"))
        return
    for parent, _, names in os.walk(directory):
        yield from (os.path.join(parent, name) for name in names)


def size(path: str) -> int:
    """Return the number of bytes of a file."""
    if not is_remote(path):
        return os.path.getsize(path)
    system, path = file_system(path)
    return int(system.size(path))


def open_file(path: str) -> IO[bytes]:
    """Open a file to read its bytes."""
    if not is_remote(path):
        return open(path, "rb")
    system, path = file_system(path)
    opened: IO[bytes] = system.open(path, "rb")
    return opened
