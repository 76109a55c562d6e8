"""The page that finds and classifies faces in the browser: static files, for any web server."""

from facegender.page.site import HEADERS, Asset, assets, write_page

__all__ = ["HEADERS", "Asset", "assets", "write_page"]
