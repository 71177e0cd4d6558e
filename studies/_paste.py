"""Cut and paste: an unseen syllable out of two seen ones of the same font, without any network."""

from collections import defaultdict

import numpy as np

from learning_gan.parts.data import load_mnist
from learning_gan.parts.syllables import FONTS, VOWELS, letters_of, split

SHAPES = (
    "ㅏㅐㅑㅒㅓㅔㅕㅖㅣ",
    "ㅗㅛㅜㅠㅡ",
    "ㅘㅙㅚㅝㅞㅟㅢ",
)  # vowels beside the initial, below it, or both
CUTS = range(10, 25)  # where a glyph may be cut, in pixels from above or from the left


def _same_place(vowel):
    "Vowels that stand where this one stands."
    return {VOWELS.index(v) for shape in SHAPES if VOWELS[vowel] in shape for v in shape}


def _givers(code, letters):
    "Which seen syllables may give the first piece and which the second, and the axis along which they are cut."
    i, v, f = letters_of(code)
    initials, vowels, finals = letters.T
    same = (initials == i, vowels == v, (finals == 0) == (f == 0))
    alike = np.isin(vowels, list(_same_place(v)))  # where no syllable is better
    firsts = (same[0] & (alike if f == 0 else same[1]) & same[2], same[0] & alike, same[0])
    first = next(some for some in firsts if some.any())
    axis = 2 if f == 0 and VOWELS[v] in SHAPES[0] else 1
    return np.flatnonzero(first), np.flatnonzero(same[1] & (finals == f)), axis


def _seams(first, second):
    "How little the two lines at each cut are alike, [first, second, cuts]."
    return np.stack(
        [
            np.abs(first[:, None, k - 1 : k + 1] - second[None, :, k - 1 : k + 1]).sum(axis=(2, 3))
            for k in CUTS
        ],
        axis=2,
    )


def _joined(first, second):
    "The two pieces, of all that may be had, that suit each other best along the cut; cut along rows."
    one, other, cut = np.unravel_index(_seams(first, second).argmin(), (len(first), len(second), len(CUTS)))
    return np.concatenate([first[one, : CUTS[cut]], second[other, CUTS[cut] :]])


def pasted(codes) -> np.ndarray:  # uint8 [n * 16, 32, 32, 1], each syllable in all fonts
    "Unseen syllables as cut and paste makes them."
    seen, images = split()[0], load_mnist("hangul").train.images
    glyphs = images.reshape(len(FONTS), len(seen), 32, 32).astype(np.float32)
    letters, made = letters_of(seen), defaultdict(list)
    for code in codes:
        first, second, axis = _givers(code, letters)
        for font in glyphs if axis == 1 else glyphs.swapaxes(2, 3):
            glyph = _joined(font[first], font[second])
            made[code].append(glyph if axis == 1 else glyph.T)
    return np.uint8([made[code] for code in codes]).reshape(-1, 32, 32, 1)
