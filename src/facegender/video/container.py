"""Video files, opened so that they stay files."""

from __future__ import annotations

from typing import Any

from facegender.errors import NotAVideoError, VideoNotFoundError, VideoPermissionError, needs

#: Containers in FFmpeg's words. Not its playlists: those open other files and addresses.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,asf,flv,live_flv,ogg,gif"


def open_container(path: str) -> Any:
    """PyAV's container of a file.

    Raises:
        VideoReadError: the file is absent, forbidden or of no known format.
        MissingExtraError: PyAV is not installed.
    """
    with needs("av", "video"):
        import av
    try:
        # As a plain file: "http:", "concat:" and their like are names, not instructions.
        return av.open(f"file:{path}", options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"})
    except (FileNotFoundError, IsADirectoryError) as error:
        raise VideoNotFoundError(f"{path} is no file") from error
    except PermissionError as error:
        raise VideoPermissionError(f"{path} may not be read") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise NotAVideoError(f"{path} is no video of a known format, or cut short before it begins") from error
