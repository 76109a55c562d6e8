"""The report of a run over photos: a contact sheet of its faces, as a page without a server."""

from __future__ import annotations

from facegender.sheet.page import check_report, write_report

__all__ = ["check_report", "write_report"]
