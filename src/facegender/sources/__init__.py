"""Where photos come from: files, folders, globs, lists, archives, and storage at a URL."""

from facegender.sources.kinds import SUFFIXES, VIDEO_SUFFIXES, PassedOver, is_hidden, is_photo, is_photo_file, is_video
from facegender.sources.photos import Photos, Sample, find_photos, first, sample
from facegender.sources.remote import is_remote
from facegender.sources.source import MAX_BYTES, LocalFile, Source, Stamp, content_digest, read
from facegender.sources.videos import find_videos

__all__ = [
    "MAX_BYTES",
    "SUFFIXES",
    "VIDEO_SUFFIXES",
    "LocalFile",
    "PassedOver",
    "Photos",
    "Sample",
    "Source",
    "Stamp",
    "content_digest",
    "find_photos",
    "find_videos",
    "first",
    "is_hidden",
    "is_photo",
    "is_photo_file",
    "is_remote",
    "is_video",
    "read",
    "sample",
]
