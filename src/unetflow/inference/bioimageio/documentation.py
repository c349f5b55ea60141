"""The texts of a package.

`rdf.yaml.j2` is the description without what the user states, `readme.md.j2` the documentation, and
`objects.md.j2` its section about objects.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from unetflow.config.packaging import PackagingParameters
from unetflow.core.types import ObjectOutput
from unetflow.inference.segmenter_files import SegmenterSettings

_OBJECT_CHANNELS: Mapping[ObjectOutput, tuple[str, str]] = {
    "boundary": (
        "object boundary",
        "the probability that a pixel lies on the outline of an object",
    ),
    "distance": (
        "object distance",
        "the distance to the nearest pixel outside the object, from 0 at its edge to 1 at its "
        "middle",
    ),
}
"""Name and meaning of the channel of each output for objects; a class may be called 'boundary'."""
_FACTORS: Mapping[ObjectOutput, str] = {"boundary": "(1 - boundary)", "distance": "distance"}
"""What each output contributes to the landscape of `separation.seed_landscape`."""


def write_readme(
    packaging: PackagingParameters,
    settings: SegmenterSettings,
    names: Sequence[str],
    model_card: Mapping[str, Any] | None,
) -> str:
    """Return the documentation in Markdown; `names` are the classes that have a probability."""
    values = {"packaging": packaging, "names": names, "model_card": model_card}
    return render("readme.md.j2", settings, summary=summarise(settings), **values)


def summarise(settings: SegmenterSettings) -> str:
    """Return one sentence about the classes of a model."""
    found = " and ".join(settings.classes[1:]) or "nothing"
    return f"A U-Net that finds {found} in {settings.dtype} images, pixel by pixel."


def render(template: str, settings: SegmenterSettings, **values: Any) -> str:
    """Fill in a template of this package with the settings of a segmenter and further values."""
    environment = Environment(
        loader=PackageLoader("unetflow.inference", "bioimageio"),
        autoescape=select_autoescape(),  # HTML only, and these are YAML and Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    channels = [_OBJECT_CHANNELS[name] for name in settings.object_outputs]
    factors = [_FACTORS[name] for name in settings.object_outputs]
    return environment.get_template(template).render(
        settings=settings,
        geometry=settings.geometry,
        object_channels=[name for name, _ in channels],
        object_outputs="; ".join(f"{name}, {meaning}" for name, meaning in channels),
        landscape=" * ".join(sorted(factors, reverse=True)),
        **values,
    )
