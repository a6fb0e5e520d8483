"""What the points of a prompt mean to the network, apart from it so that stages without torch can use it.

Source: Segment Anything (Kirillov et al. 2023, Apache-2.0).
"""

from __future__ import annotations

FOREGROUND, BACKGROUND = 1, 0
BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = 2, 3
NOT_A_POINT = -1  # the network was trained to see it wherever a prompt has no box
FILLER = -2  # fills a batch's shorter rows; masked out of every attention
