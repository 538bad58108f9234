"""The same table in every format."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

REVIEWS = ["a quiet, moving film", "it broke after one day", "NA", "", "01", 'good, but "loud"\nand heavy']
FRAME = pd.DataFrame(
    {
        "text": REVIEWS,
        "label": [1, 0, 1, 0, 1, 0],
        "domain": ["dvd", "electronics", "dvd", "kitchen", "dvd", "kitchen"],
        "price": [1.5, 2.0, np.nan, 4.0, 5.0, 6.0],
    }
)
FORMATS = ["a.csv", "a.csv.gz", "a.tsv", "a.tsv.gz", "a.jsonl", "a.jsonl.gz", "a.parquet", "a.arrow"]


@pytest.fixture
def reviews():
    return REVIEWS


@pytest.fixture
def frame():
    return FRAME


@pytest.fixture(params=FORMATS)
def table_name(request):
    return request.param


@pytest.fixture
def write():
    """``write(path, frame)``: in the format that the path's name says; returns the path."""
    return lambda path, frame=FRAME: _write(path, frame)


def _write(path, frame):
    name = path.name.removesuffix(".gz")
    if name.endswith(".csv"):
        frame.to_csv(path, index=False)
    elif name.endswith(".tsv"):
        frame.to_csv(path, index=False, sep="\t")
    elif name.endswith(".jsonl"):
        frame.to_json(path, orient="records", lines=True)
    elif name.endswith(".parquet"):
        frame.to_parquet(path)
    else:
        with pa.ipc.new_file(str(path), pa.Schema.from_pandas(frame, preserve_index=False)) as out:
            for start in range(0, len(frame), 2):  # several record batches
                out.write_table(pa.Table.from_pandas(frame.iloc[start : start + 2], preserve_index=False))
    return path
