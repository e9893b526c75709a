"""Tables of text, for terminals and files."""


def table(rows: list[tuple[str, ...]], left: int = 1) -> str:
    """Rows of text, a heading first, in columns: `left` of them to the left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
