"""What a page looks like where a reader's settings, or a recording's name, are unusual."""

from io import BytesIO

import numpy as np
from matplotlib.image import imread


def test_traces_stand_on_white_where_the_system_forces_dark_colours(opened, person):
    page = opened(person)
    page.emulate_media(color_scheme="dark", forced_colors="active")
    for canvas in (".family canvas.mean", ".family figure canvas", "#overview", "#strips canvas"):
        seen = imread(BytesIO(page.locator(canvas).first.screenshot()))[..., :3]
        assert np.median(seen) > 0.9, canvas
