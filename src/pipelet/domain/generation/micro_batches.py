"""How the images of a request are divided into micro-batches that fit the device."""


def split_batch(batch_size: int, megapixels: float, max_megapixels_per_batch: float) -> list[int]:
    """Return the sizes of the micro-batches, as even as possible: 4 images where 3 fit make [2, 2].

    A single image is always generated, whatever its size: whether it fits is then for the device to say.
    """
    fitting = max(1, int(max_megapixels_per_batch / megapixels))
    batches = -(-batch_size // fitting)
    smaller, larger = divmod(batch_size, batches)
    return [smaller + 1] * larger + [smaller] * (batches - larger)
