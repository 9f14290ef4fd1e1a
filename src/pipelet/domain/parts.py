"""A batch is drawn in one run of the pipeline where it fits, else in parts."""


def split(batch_size: int, megapixels: float, megapixels_per_run: float) -> list[int]:
    """Sizes of the parts, as even as can be: 4 images of which 3 fit make [2, 2].

    One image is always drawn, whatever its size: whether it fits is then for the device to say.
    """
    fitting = max(1, int(megapixels_per_run / megapixels))
    parts = -(-batch_size // fitting)
    smaller, larger = divmod(batch_size, parts)
    return [smaller + 1] * larger + [smaller] * (parts - larger)
