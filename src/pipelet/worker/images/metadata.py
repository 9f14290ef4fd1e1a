"""Metadata inside an image file: AUTOMATIC1111's generation parameters, and XMP with every detail."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from pipelet.domain.generation.image import OutputFormat
from pipelet.domain.generation.plan import GenerationPlan
from pipelet.domain.jobs.job import Job
from pipelet.domain.ports.engine import EffectiveParameters

MAX_PROMPT_CHARS = 12_000
"""Maximum characters of all prompts in a JPEG or WebP file: a JPEG segment ends at 64 KiB, and XML takes up to five
bytes per character."""
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for images that a trained model generated."""
NAMESPACE = "urn:pipelet:"
"""Namespace of the XMP property `request`: a JSON object with every detail."""

_PROMPTS = ("prompt", "prompt_read", "negative_prompt")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Control characters except tab and line feed, lone surrogates, and characters that XML 1.0 does not allow."""
_XMP = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" \
xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:pipelet="{namespace}">
<xmp:CreatorTool>{software}</xmp:CreatorTool>
<Iptc4xmpExt:DigitalSourceType>{source_type}</Iptc4xmpExt:DigitalSourceType>
<pipelet:request>{details}</pipelet:request>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Metadata of one file."""

    parameters: str
    """In the syntax of AUTOMATIC1111's web UI, which many programs read."""
    xmp: str
    software: str


def request_details(job: Job, plan: GenerationPlan, *, version: str) -> dict[str, Any]:
    """Return what is known of the images before they are generated, without an input that is not stored."""
    spec, native = job.spec, plan.native
    details = {
        "prompt": spec.prompt if job.store_input else None,
        "negative_prompt": spec.negative_prompt if job.store_input and spec.guidance_scale > 0 else None,
        "size": str(spec.size),
        "drawn_at": None if native.size == spec.size else str(native.size),
        "refine_strength": plan.model.refine_strength if plan.refine_steps > 0 else None,
        "num_inference_steps": spec.num_inference_steps,
        "guidance_scale": spec.guidance_scale,
        "references": len(spec.input_images) or None,
        "strength": plan.edit_strength,
        "model": plan.model.name,
        "request_id": job.id,
        "software": f"Pipelet {version}",
    }
    return {name: value for name, value in details.items() if value is not None}


def build_metadata(
    details: Mapping[str, Any], used: EffectiveParameters | None, *, seed: int, output_format: OutputFormat
) -> Metadata:
    """Build the metadata of one file from `request_details`, corrected by `used`, where the backend reports that."""
    known = {**details, "seed": seed}
    if used is not None:
        known |= {"sampler": used.sampler, "schedule_type": used.schedule_type}
    if used is not None and "prompt" in details:
        as_read = None if used.prompt == details["prompt"] else used.prompt
        known |= {"prompt_read": as_read, "negative_prompt": used.negative_prompt}
    prompts = [name for name in _PROMPTS if known.get(name)]
    limit = None if output_format is OutputFormat.PNG else MAX_PROMPT_CHARS // max(len(prompts), 1)
    clean = {name: _text(value, limit) if isinstance(value, str) else value for name, value in known.items()}
    clean = {name: value for name, value in clean.items() if value is not None and value != ""}
    software = clean["software"]
    xmp = _XMP.format(
        namespace=NAMESPACE,
        software=escape(software),
        source_type=DIGITAL_SOURCE_TYPE,
        details=escape(json.dumps(clean, ensure_ascii=False)),
    )
    return Metadata(parameters=_parameters(clean), xmp=xmp, software=software)


def _parameters(details: Mapping[str, Any]) -> str:
    """Return prompt, negative prompt, and one line of facts, without the unknown ones."""
    facts = {
        "Steps": details["num_inference_steps"],
        "Sampler": details.get("sampler"),
        "Schedule type": details.get("schedule_type"),
        "CFG scale": f"{details['guidance_scale']:g}",
        "Seed": details["seed"],
        "Size": details["size"],
        "Model": details["model"],
        "Denoising strength": None if "strength" not in details else f"{details['strength']:g}",
        "Version": details["software"],
    }
    lines = [details.get("prompt_read", details.get("prompt", ""))]
    if "negative_prompt" in details:
        lines.append(f"Negative prompt: {details['negative_prompt']}")
    lines.append(", ".join(f"{name}: {_quoted(str(value))}" for name, value in facts.items() if value is not None))
    return "\n".join(lines).strip()


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search("[,:\n]", value) else value


def _text(value: str, limit: int | None) -> str:
    text = _UNPRINTABLE.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
