"""Every path of AUTOMATIC1111's API that is served, in one table."""

from collections.abc import Iterator

from fastapi.routing import APIRoute

from pipelet.api.automatic1111 import description, lists
from pipelet.api.automatic1111.handlers import image_to_image, text_to_image
from pipelet.api.automatic1111.png_info import show_png_info
from pipelet.api.automatic1111.progress import interrupt, show_progress
from pipelet.api.automatic1111.routing import Route

ROUTES = (
    Route("POST", "/sdapi/v1/txt2img", text_to_image, description.TEXT_TO_IMAGE),
    Route("POST", "/sdapi/v1/img2img", image_to_image, description.IMAGE_TO_IMAGE),
    Route("POST", "/sdapi/v1/png-info", show_png_info, description.PNG_INFO),
    Route("GET", "/sdapi/v1/progress", show_progress, description.PROGRESS),
    Route("POST", "/sdapi/v1/interrupt", interrupt, description.INTERRUPT),
    Route("GET", "/sdapi/v1/options", lists.show_options, description.OPTIONS),
    Route("POST", "/sdapi/v1/options", lists.set_options, description.SET_OPTIONS),
    Route("GET", "/sdapi/v1/sd-models", lists.list_checkpoints, description.CHECKPOINTS),
    Route("GET", "/sdapi/v1/samplers", lists.list_samplers, description.SAMPLERS),
    Route("GET", "/sdapi/v1/schedulers", lists.list_schedulers, description.SCHEDULERS),
    Route("GET", "/sdapi/v1/upscalers", lists.list_upscalers, description.UPSCALERS),
    Route("GET", "/sdapi/v1/sd-vae", lists.list_nothing, description.NOTHING),
    Route("GET", "/sdapi/v1/loras", lists.list_nothing, description.NOTHING),
)


def describe_routes() -> Iterator[APIRoute]:
    return description.describe_routes(ROUTES)
