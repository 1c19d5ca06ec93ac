"""Cells of CSV tables that hold text: spreadsheets would compute some of them."""

from __future__ import annotations

_FORMULA = "=@+-\t\r"
_MARK = "'"  # in front of a cell, spreadsheets take it for text


def text_cell(text: str) -> str:
    """Return a cell that spreadsheets take for text.

    >>> text_cell("=1+1.tif"), text_cell("a.tif")
    ("'=1+1.tif", 'a.tif')
    """
    return f"{_MARK}{text}" if text[:1] and text[0] in _FORMULA else text


def cell_text(cell: str) -> str:
    """Return the text that `text_cell` made a cell of."""
    return cell[1:] if cell[:1] == _MARK and cell[1:2] and cell[1] in _FORMULA else cell
