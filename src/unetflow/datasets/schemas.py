"""What a table in the catalog must look like; Kedro checks it through `validator:`."""

import pandera.pandas as pa
from pandera.typing.pandas import Series

from unetflow.imaging.splitting import SPLITS

_SHA256 = r"^[0-9a-f]{64}$"


class ManifestSchema(pa.DataFrameModel):
    """The manifest: a row for each sample."""

    id: Series[str] = pa.Field(unique=True)
    image_file: Series[str]
    mask_file: Series[str]
    image_sha256: Series[str] = pa.Field(str_matches=_SHA256)
    mask_sha256: Series[str] = pa.Field(str_matches=_SHA256)
    height: Series[int] = pa.Field(gt=0)
    width: Series[int] = pa.Field(gt=0)
    channels: Series[int] = pa.Field(isin=[1, 3])
    dtype: Series[str] = pa.Field(isin=["uint8", "uint16"])
    ignored: Series[float] = pa.Field(in_range={"min_value": 0, "max_value": 1})
    split: Series[str] = pa.Field(isin=SPLITS)
    fractions: Series[float] = pa.Field(
        alias="fraction_.+", regex=True, in_range={"min_value": 0, "max_value": 1}
    )
