"""OpenAPI of the routes under `/api/v1/requests`."""

from pipelet.api.v1.description import operation
from pipelet.api.v1.requests.schemas import RequestDetail

SHOW = operation("Show a request", "All of it. Each read signs its URLs again.", answer=RequestDetail, errors=[404])
