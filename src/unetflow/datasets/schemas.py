"""What a table in the catalog must look like; Kedro checks it through `validator:`."""

import pandera.pandas as pa
from pandera.typing.pandas import Series

from unetflow.core.types import SPLITS
from unetflow.io.formats.bounds import MAX_CHANNELS

_SHA256 = r"^[0-9a-f]{64}$"
_SHARE = {"min_value": 0, "max_value": 1}


class ManifestSchema(pa.DataFrameModel):
    """The manifest: a row for each sample."""

    id: Series[str] = pa.Field(unique=True)
    image_file: Series[str]
    mask_file: Series[str]
    image_sha256: Series[str] = pa.Field(str_matches=_SHA256)
    mask_sha256: Series[str] = pa.Field(str_matches=_SHA256)
    image_bytes: Series[int] = pa.Field(gt=0)
    changed: Series[str] = pa.Field(str_matches=r"^\d{4}-\d\d-\d\dT")
    stamp: Series[str] = pa.Field(str_matches=_SHA256)
    height: Series[int] = pa.Field(gt=0)
    width: Series[int] = pa.Field(gt=0)
    channels: Series[int] = pa.Field(ge=1, le=MAX_CHANNELS)
    dtype: Series[str] = pa.Field(isin=["uint8", "uint16", "float32"])
    ignored: Series[float] = pa.Field(in_range=_SHARE)
    fractions: Series[float] = pa.Field(alias="fraction_.+", regex=True, in_range=_SHARE)
    foreground: Series[float] = pa.Field(in_range=_SHARE)
    objects: Series[int] = pa.Field(ge=0)
    touching: Series[float] | None = pa.Field(ge=0, nullable=True)  # early manifests lack it
    has_instances: Series[bool]
    overlap: Series[int] = pa.Field(ge=0)
    pixel_digest: Series[str] = pa.Field(str_matches=_SHA256)
    perceptual_hash: Series[str] = pa.Field(str_matches=r"^[0-9a-f]{16}$")
    is_series: Series[bool]
    group: Series[str] = pa.Field(str_length={"min_value": 1})
    split: Series[str] = pa.Field(isin=SPLITS)
    fold: Series[int] = pa.Field(ge=-1)
    split_rule: Series[str]
