"""Counts of events per pixel that note which of them changed, and the pixels that follow from them.

One bit per count says whether it was touched, and one per word of these bits whether the word is
empty, so that touched pixels are read out in order without a look at the others.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.normalise import grey

_WORD = 64  # bits
_MULTIPLIER = 0x03F79D71B4CB0A89  # a de Bruijn sequence: no 6 bits of it are like 6 others


class CountImage(NamedTuple):
    """Counts of a sensor's pixels, each in C channels."""

    counts: NDArray[np.int32]
    """[H * W * C]: events of the window."""
    touched: NDArray[np.uint64]
    """One bit per count."""
    words: NDArray[np.uint64]
    """One bit per word of ``touched``."""


def empty_image(n_counts: int) -> CountImage:
    """``n_counts`` zeros, none touched."""
    n_words = -(-n_counts // _WORD)
    return CountImage(
        np.zeros(n_counts, np.int32),
        np.zeros(n_words, np.uint64),
        np.zeros(-(-n_words // _WORD), np.uint64),
    )


def touch_all(image: CountImage) -> None:
    """Note all counts as touched."""
    _set_bits(image.touched, len(image.counts))
    _set_bits(image.words, len(image.touched))


def _set_bits(words: NDArray[np.uint64], n: int) -> None:
    """Set the first ``n`` bits of ``words``, which has no more words than it takes."""
    words[:] = ~np.uint64(0)
    if n % _WORD:
        words[-1] = np.uint64((1 << n % _WORD) - 1)


@numba.njit(nogil=True, cache=True, _nrt=False)
def count(image, pixel, change):  # type: ignore[no-untyped-def]
    """Add ``change`` to the count of ``pixel``, which is touched then."""
    image.counts[pixel] += change
    word = pixel >> 6
    image.touched[word] |= np.uint64(1) << np.uint64(pixel & 63)
    image.words[word >> 6] |= np.uint64(1) << np.uint64(word & 63)


@numba.njit(nogil=True, cache=True, _nrt=False)
def take_touched(image, scale, sizes, at, values):  # type: ignore[no-untyped-def]
    """Write the touched pixels in order, with their values; returns how many. None is touched then.

    ``scale`` [C], as ``normalise``. ``sizes``: the sensor's width, and height and width of its
    upper left part, to which pixels are confined; ``at`` int64 and ``values`` uint8 have room for
    that. A pixel of it is (row * width + column) * C + channel.
    """
    sensor_width, height, width = sizes
    n, channels = 0, len(scale)
    row, row_first, row_length = 0, 0, sensor_width * channels
    for k in range(len(image.words)):
        words, image.words[k] = image.words[k], np.uint64(0)
        while words != 0:
            word = k * _WORD + _lowest(words)
            words &= words - np.uint64(1)
            bits, image.touched[word] = image.touched[word], np.uint64(0)
            while bits != 0:
                pixel = word * _WORD + _lowest(bits)
                bits &= bits - np.uint64(1)
                while pixel >= row_first + row_length:
                    row, row_first = row + 1, row_first + row_length
                place = pixel - row_first
                if row < height and place < width * channels:
                    at[n] = row * width * channels + place
                    values[n] = grey(image.counts[pixel], scale[place % channels])
                    n += 1
    return n


def _places_of_bits() -> NDArray[np.int64]:
    """Which bit is set, by the upper 6 bits of it times ``_MULTIPLIER``."""
    places = np.empty(_WORD, np.int64)
    for bit in range(_WORD):
        places[((_MULTIPLIER << bit) & (2**_WORD - 1)) >> (_WORD - 6)] = bit
    return places


_PLACES = _places_of_bits()


@numba.njit(nogil=True, cache=True, _nrt=False)
def _lowest(bits):  # type: ignore[no-untyped-def]
    """The place of the lowest bit that is set; one is."""
    alone = bits & (~bits + np.uint64(1))
    return _PLACES[np.int64((alone * np.uint64(_MULTIPLIER)) >> np.uint64(_WORD - 6))]
