"""In which order replicas wrote: the supervisor notes each growth of a file, readers follow the notes.

Replicas write straight to their files, so what they print costs them nothing and outlives everybody. The journal
holds (time, file, size) for every growth seen, 24 bytes each; it gives the combined view its order, the same on every
reading, and lines their time.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from xrun.schedulers.local import state
from xrun.schedulers.logs import LogChunk, LogQuery, Stream
from xrun.schedulers.outcome import last_line

_RECORD = struct.Struct("<dQQ")  # Unix time, index of the file, its size
_READ = 1 << 18
_OPEN_FILES = 64
_ONE_READ = 0.05  # seconds within which notes on one file are read at once

LogFile = tuple[str, int, Stream]
"""(role, replica, stream); an app's files have a fixed order, and their index stands in the journal."""


def log_files(roles: Sequence[tuple[str, int]]) -> list[LogFile]:
    """The output files of an app, in journal order.

    Args:
        roles: (name, number of replicas) of each role.
    """
    return [(name, k, s) for name, count in roles for k in range(count) for s in (Stream.STDOUT, Stream.STDERR)]


class JournalWriter:
    """Notes what grew, for the supervisor.

    The kernel says so by SIGIO (``fcntl(2)``, F_NOTIFY on the app's folder), once for each time it is asked. Unlike
    inotify this has no limit of instances.

    Args:
        folder: the app's folder.
        files: its output files.
    """

    def __init__(self, folder: str, files: Sequence[LogFile]) -> None:
        self._files = [state.log_name(*file) for file in files]
        self._sizes = [0] * len(files)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._journal: int | None = None  # made with the first note
        self.deaf = False

    def listen(self) -> None:
        """Asks for SIGIO at the next write to any file of the folder; where the kernel refuses we are `deaf`."""
        try:
            fcntl.fcntl(self._folder, fcntl.F_NOTIFY, fcntl.DN_MODIFY)
        except OSError:
            self.deaf = True  # sysctl fs.dir-notify-enable=0, or a kernel without it

    def ignore(self) -> None:
        """Takes that back, since the supervisor's own files lie in the same folder."""
        if not self.deaf:
            fcntl.fcntl(self._folder, fcntl.F_NOTIFY, 0)

    def look(self) -> bool:
        """Notes every growth so far; True if there was any."""
        grown = []
        for index, name in enumerate(self._files):
            try:
                found = os.stat(name, dir_fd=self._folder)
            except OSError:
                continue
            if found.st_size < self._sizes[index]:  # as by `echo x > /dev/stdout`, which truncates a file
                grown.append((found.st_mtime_ns, index, 0))
            if found.st_size not in (0, self._sizes[index]):
                grown.append((found.st_mtime_ns, index, found.st_size))
        if not grown:
            return False
        now = time.time()
        records = []
        for _, index, size in sorted(grown):
            self._sizes[index] = size
            records.append(_RECORD.pack(now, index, size))
        try:
            if self._journal is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._journal = os.open(state.JOURNAL, flags, 0o600, dir_fd=self._folder)
            os.write(self._journal, b"".join(records))
        except OSError:
            pass  # a full disk: readers find the rest after the last note
        return True

    def close(self) -> None:
        """Closes the journal and stops listening."""
        os.close(self._folder)
        if self._journal is not None:
            os.close(self._journal)

    def last_line(self, index: int) -> str:
        """The last line of a file that isn't empty."""
        try:
            with open(os.open(self._files[index], os.O_RDONLY, dir_fd=self._folder), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
                return last_line(file.read())
        except OSError:
            return ""


class JournalReader:
    """Reads an app's output in the order of the journal.

    Args:
        folder: the app's folder.
        files: its output files.
        query: which part is wanted; tail and follow are the caller's.
    """

    def __init__(self, folder: str, files: Sequence[LogFile], query: LogQuery) -> None:
        self._folder = folder
        self._files = files
        self._query = query
        self._wanted = [query.wants(*file) for file in files]
        self._offsets = [0] * len(files)
        self._open: OrderedDict[int, int] = OrderedDict()
        self._journal: int | None = None
        self._partial = b""
        self._time = time.time()
        self._at = 0
        self._begins = [0] * len(files)

    def new(self) -> Iterator[LogChunk]:
        """What was noted since the last call."""
        for when, index, size in self._records():
            yield from self._read(index, size, when)

    def rest(self) -> Iterator[LogChunk]:
        """What lies beyond the last note, file by file; only right once nothing writes any more."""
        yield from self.new()
        if not self._in_time(self._time):
            return
        for index, file in enumerate(self._files):
            if self._wanted[index]:
                try:
                    size = os.stat(os.path.join(self._folder, state.log_name(*file))).st_size
                except OSError:
                    continue
                yield from self._read(index, size, self._time)

    def close(self) -> None:
        """Closes the files."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()
        if self._journal is not None:
            os.close(self._journal)
            self._journal = None

    def _records(self) -> Iterator[tuple[float, int, int]]:
        """Notes that are wanted, those that follow each other on one file as one."""
        held: tuple[float, int, int] | None = None
        for when, index, size in self._notes():
            if held and (held[1] != index or size == 0 or when - held[0] >= _ONE_READ):
                yield held
                held = None
            if size == 0:
                self._offsets[index] = 0  # truncated
            elif self._in_time(when):
                held = (held[0] if held else when, index, size)
            else:
                if held:
                    yield held
                    held = None
                self._offsets[index] = max(self._offsets[index], size)
        if held:
            yield held

    def _notes(self) -> Iterator[tuple[float, int, int]]:
        """What the journal has on the files that are wanted."""
        if self._journal is None:
            try:
                self._journal = os.open(os.path.join(self._folder, state.JOURNAL), os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return
            self._skip_truncated(self._journal)
        while data := os.read(self._journal, 1 << 16):
            data = self._partial + data
            whole = len(data) - len(data) % _RECORD.size
            self._partial = data[whole:]
            for when, index, size in _RECORD.iter_unpack(data[:whole]):
                self._time = when
                self._at += _RECORD.size
                if index < len(self._files) and self._wanted[index] and self._at > self._begins[index]:
                    yield when, index, size

    def _skip_truncated(self, journal: int) -> None:
        """What was noted before a file was truncated says nothing about what is in it now."""
        size = os.fstat(journal).st_size // _RECORD.size * _RECORD.size
        for number, (_, index, length) in enumerate(_RECORD.iter_unpack(os.pread(journal, size, 0))):
            if length == 0 and index < len(self._begins):
                self._begins[index] = number * _RECORD.size

    def _in_time(self, when: float) -> bool:
        since, until = self._query.since, self._query.until
        return (since is None or when >= since) and (until is None or when <= until)

    def _read(self, index: int, size: int, when: float) -> Iterator[LogChunk]:
        role, replica, stream = self._files[index]
        while self._offsets[index] < size:
            fd = self._fd(index)
            if fd is None:
                return
            data = os.pread(fd, min(_READ, size - self._offsets[index]), self._offsets[index])
            if not data:
                return
            self._offsets[index] += len(data)
            yield LogChunk(role, replica, stream, when, data)

    def _fd(self, index: int) -> int | None:
        fd = self._open.get(index)
        if fd is not None:
            self._open.move_to_end(index)
            return fd
        path = os.path.join(self._folder, state.log_name(*self._files[index]))
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        self._open[index] = fd
        if len(self._open) > _OPEN_FILES:
            os.close(self._open.popitem(last=False)[1])
        return fd
