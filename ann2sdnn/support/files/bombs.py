"""Limits of what a small file may expand to."""

# Deflate, by which h5py and numpy compress, makes at most 1,032 bytes of one.
_DEFLATE = 1032
# What any file may hold beyond that: data sets of which little or nothing was written.
_SLACK_BYTES = 16 << 20


def check_expansion(name: str, n_bytes: int, stored_bytes: int) -> None:
    """Raise ValueError where ``stored_bytes`` of a file declare ``n_bytes`` of memory: too many
    for compressed data.
    """
    if n_bytes > _DEFLATE * stored_bytes + _SLACK_BYTES:
        raise ValueError(
            f"{name} declares {n_bytes:,} bytes and the file holds {stored_bytes:,} of them"
        )
