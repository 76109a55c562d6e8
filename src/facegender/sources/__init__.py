"""Where photos come from: files, folders, globs, lists, archives, and storage at a URL."""

from facegender.sources.photos import Photos, Sample, find_photos, sample
from facegender.sources.remote import is_remote
from facegender.sources.source import MAX_BYTES, SUFFIXES, LocalFile, Source, Stamp, content_digest, read

__all__ = [
    "MAX_BYTES",
    "SUFFIXES",
    "LocalFile",
    "Photos",
    "Sample",
    "Source",
    "Stamp",
    "content_digest",
    "find_photos",
    "is_remote",
    "read",
    "sample",
]
