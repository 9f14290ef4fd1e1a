"""The transformer's trainable forward pass."""

import torch

from training import text
from training.text_to_image import batched
from training.text_to_image.transformer import new_transformer


def test_the_batched_forward_gives_the_numbers_of_diffusers_own() -> None:
    """Whatever the captions' lengths and the image's shape, both ways agree to float32's precision."""
    torch.manual_seed(0)
    model = new_transformer(channels=32)
    torch.nn.init.normal_(model.all_final_layer[batched.PATCH].linear.weight, std=0.05)
    for length, lengths, height, width in ((32, [9, 32, 20], 16, 16), (64, [40, 64, 33], 16, 24)):
        latents = torch.randn(3, 32, height, width)
        time = torch.rand(3)
        captions = torch.randn(3, length, text.WIDTH)
        real = torch.arange(length)[None] < torch.tensor(lengths)[:, None]
        with torch.no_grad():
            listed = model(
                [image.unsqueeze(1) for image in latents],
                time,
                [caption[:count] for caption, count in zip(captions, lengths, strict=True)],
                return_dict=False,
            )[0]
            rotations = batched.Rotations.of(model, length, height // 2, width // 2)
            at_once = batched.forward(model, batched.patchify(latents), time, captions, real, rotations)

        torch.testing.assert_close(batched.patchify(torch.stack(listed)[:, :, 0]), at_once, atol=1e-5, rtol=1e-4)
